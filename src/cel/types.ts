// What expressions are about: names with types, declared as data, so that they can be handed to a thread and printed in docs.

/** `dyn` is what is not known before it is evaluated; only literals are. */
export type CelType = 'bool' | 'int' | 'double' | 'string' | 'duration' | 'dyn' | ListType | MapType | StructType;

export type ListType = { list: CelType };
/** From strings to values of one type. */
export type MapType = { map: CelType };
/** Named fields. `has()` tells whether an optional one is there; reading one that isn't is an error. */
export type StructType = { struct: string; fields: Record<string, Field> };
export type Field = { type: CelType; optional?: true; meaning: string };

/** The variables of an expression. */
export type Environment = Record<string, Field>;

/** A type as a person reads it: `list(string)`. */
export function typeName(type: CelType): string {
  if (typeof type === 'string') return type;
  if ('list' in type) return `list(${typeName(type.list)})`;
  if ('map' in type) return `map(string, ${typeName(type.map)})`;
  return type.struct;
}

/** Whether a value of the one type may stand where the other is wanted. */
export function fits(given: CelType, wanted: CelType): boolean {
  if (given === 'dyn' || wanted === 'dyn' || given === wanted) return true;
  if (typeof given === 'string' || typeof wanted === 'string') return false;
  if ('list' in given) return 'list' in wanted && fits(given.list, wanted.list);
  if ('map' in given) return 'map' in wanted && fits(given.map, wanted.map);
  return 'struct' in wanted && given.struct === wanted.struct;
}
