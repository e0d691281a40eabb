// The functions and operators of expressions, by their signatures. What is not listed is refused when an expression is checked.

import type { CelType } from './types.ts';

export type Signature = { takes: CelType[]; gives: CelType };

const texts: CelType = { list: 'string' };
const anyList: CelType = { list: 'dyn' };
const anyMap: CelType = { map: 'dyn' };

const overloads = (all: CelType[][], gives?: CelType): Signature[] =>
  all.map((takes) => ({ takes, gives: gives ?? takes[0] ?? 'dyn' }));

const ordered = overloads(
  [
    ['int', 'int'],
    ['double', 'double'],
    ['int', 'double'],
    ['double', 'int'],
    ['string', 'string'],
    ['duration', 'duration'],
  ],
  'bool',
);
const numbers: CelType[][] = [
  ['int', 'int'],
  ['double', 'double'],
];

/** Called as `f(x)`, and the operators, by the names that the parser gives them. Those that any type goes into are in check.ts. */
export const FUNCTIONS: Readonly<Record<string, Signature[]>> = {
  '_<_': ordered,
  '_<=_': ordered,
  '_>_': ordered,
  '_>=_': ordered,
  '_+_': overloads([...numbers, ['string', 'string'], ['duration', 'duration'], [anyList, anyList]]),
  '_-_': overloads([...numbers, ['duration', 'duration']]),
  '_*_': overloads(numbers),
  '_/_': overloads(numbers),
  '_%_': overloads([['int', 'int']]),
  '-_': overloads([['int'], ['double'], ['duration']]),
  '!_': overloads([['bool']]),
  '_&&_': overloads([['bool', 'bool']]),
  '_||_': overloads([['bool', 'bool']]),
  '@not_strictly_false': overloads([['bool']]),
  size: overloads([['string'], [anyList], [anyMap]], 'int'),
  int: overloads([['int'], ['double'], ['string'], ['duration']], 'int'),
  double: overloads([['int'], ['double'], ['string']], 'double'),
  string: overloads([['string'], ['bool'], ['int'], ['double'], ['duration']], 'string'),
  duration: overloads([['string'], ['duration']], 'duration'),
};

/** Called as `x.f()`; what comes first is x. */
export const METHODS: Readonly<Record<string, Signature[]>> = {
  size: overloads([['string'], [anyList], [anyMap]], 'int'),
  contains: overloads([['string', 'string']], 'bool'),
  startsWith: overloads([['string', 'string']], 'bool'),
  endsWith: overloads([['string', 'string']], 'bool'),
  matches: overloads([['string', 'string']], 'bool'),
  indexOf: overloads([['string', 'string']], 'int'),
  lowerAscii: overloads([['string']]),
  upperAscii: overloads([['string']]),
  trim: overloads([['string']]),
  substring: overloads([
    ['string', 'int'],
    ['string', 'int', 'int'],
  ]),
  replace: overloads([['string', 'string', 'string']]),
  split: overloads([['string', 'string']], texts),
  join: overloads([[texts], [texts, 'string']], 'string'),
  getHours: overloads([['duration']], 'int'),
  getMinutes: overloads([['duration']], 'int'),
  getSeconds: overloads([['duration']], 'int'),
};

/** The macros, for messages: the parser has made loops of them where they were called rightly. */
export const MACROS = ['has', 'all', 'exists', 'exists_one', 'filter', 'map'];
