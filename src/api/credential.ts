// How an agent proves itself to whoever it asks, under a grant.

import * as z from 'zod';

/** Identity: by the token of its own ServiceAccount, to which the grant's rights are bound. */
export const credential = () => z.enum(['Identity']);
export type Credential = z.infer<ReturnType<typeof credential>>;
