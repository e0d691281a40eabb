// How large expressions and what they are about may be. What passes these may still take for ever: see evaluator.ts.

export const LIMITS = {
  /** Characters of an expression. The CRDs say the same. */
  expression: 2048,
  /** Parts of an expression: names, literals, calls. */
  nodes: 1000,
  /** How deep they may be nested. */
  depth: 64,
  /** How deep all, exists, exists_one, filter and map may be nested: each multiplies the steps by the length of a list. */
  loops: 3,
  /** Characters of what one grant's expressions are about, as JSON. */
  input: 262_144,
} as const;
