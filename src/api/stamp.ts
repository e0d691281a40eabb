// Who wrote an object, as the API server authenticated them and admission recorded it.

import * as z from 'zod';
import { listOf, text } from './schema.ts';

/** Long enough for what identity providers send: a stamp must never be why a request is refused. */
export const stamp = z.object({
  username: text({ max: 1024 }).describe('User name, as the API server authenticated it.'),
  uid: text({ max: 1024 }).optional().describe('Uid of the user, where the API server knows one.'),
  groups: listOf(text({ max: 1024 }), { max: 512 })
    .optional()
    .describe('Groups of the user at that time.'),
});

export type Stamp = z.infer<typeof stamp>;
