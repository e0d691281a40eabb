// What a kind is made of, for the generation of its CRD and its reference page.

import type * as z from 'zod';
import type { Rule } from './schema.ts';

/** A column of `kubectl get`; those with a priority above 0 appear with `-o wide`. */
export type Column = {
  name: string;
  type: 'string' | 'integer' | 'date';
  jsonPath: string;
  description: string;
  priority?: number;
};

export type KindDefinition = {
  kind: string;
  plural: string;
  singular: string;
  shortNames: string[];
  /** Namespaced when left out. */
  scope?: 'Cluster';
  description: string;
  spec: z.ZodObject;
  specDescription: string;
  /** Written by admission, beside the spec. */
  stamps?: z.ZodObject;
  stampsDescription?: string;
  /** A kind without one is read, and nothing is said of it. */
  status?: z.ZodObject;
  statusDescription?: string;
  /** Rules about the object as a whole; of its metadata they can see the name. */
  rules: Rule<{ metadata: { name: string } }>[];
  columns: Column[];
};
