// Checks a parsed expression against the declared variables: names, fields, functions and types, before it is ever evaluated.
//
// The library that parses and evaluates checks no types, so this does. It knows of CEL what docs/expressions.md says, and
// refuses the rest: what is not understood here could not be promised either.

import type { parse } from '@bufbuild/cel';
import { FUNCTIONS, MACROS, METHODS, type Signature } from './functions.ts';
import { LIMITS } from './limits.ts';
import { type CelType, type Environment, fits, type StructType, typeName } from './types.ts';

export type ParsedExpression = ReturnType<typeof parse>;
type Expr = ParsedExpression['expr'];
type Kind<C extends Expr['exprKind']['case']> = Extract<Expr['exprKind'], { case: C }>['value'];

/** What is wrong with an expression, and at which character of it, counted from 0. */
export class ExpressionProblem extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Throws an ExpressionProblem unless the expression is well typed and gives true or false. */
export function check({ expr, sourceInfo }: ParsedExpression, environment: Environment): void {
  const offsetOf = ({ id }: Expr) => sourceInfo?.positions[id.toString()] ?? 0;
  const variables = new Map(Object.entries(environment).map(([name, { type }]) => [name, type]));
  const type = new Checker(offsetOf).typeOf(expr, { variables, depth: 0, loops: 0 });
  if (!fits(type, 'bool')) {
    throw new ExpressionProblem(`this gives ${typeName(type)}, and a condition must give true or false`, 0);
  }
}

type Scope = { variables: ReadonlyMap<string, CelType>; depth: number; loops: number };

class Checker {
  readonly #offsetOf: (expr: Expr) => number;
  #nodes = 0;

  constructor(offsetOf: (expr: Expr) => number) {
    this.#offsetOf = offsetOf;
  }

  typeOf(expr: Expr | undefined, outer: Scope): CelType {
    if (!expr) throw new ExpressionProblem('it is not complete', 0);
    const scope = { ...outer, depth: outer.depth + 1 };
    this.#nodes += 1;
    if (this.#nodes > LIMITS.nodes) this.#refuse(expr, `more than ${LIMITS.nodes} parts: say it in less`);
    if (scope.depth > LIMITS.depth) this.#refuse(expr, `nested deeper than ${LIMITS.depth}: say it flatter`);
    const kind = expr.exprKind;
    switch (kind.case) {
      case 'constExpr':
        return this.#literal(expr, kind.value);
      case 'identExpr':
        return this.#name(expr, kind.value, scope);
      case 'selectExpr':
        return this.#field(expr, kind.value, scope);
      case 'callExpr':
        return this.#call(expr, kind.value, scope);
      case 'listExpr':
        return { list: kind.value.elements.reduce((type, each) => this.#joined(each, type, scope), 'dyn' as CelType) };
      case 'comprehensionExpr':
        return this.#loop(expr, kind.value, scope);
      default:
        return this.#refuse(expr, 'maps and messages cannot be written in an expression');
    }
  }

  #refuse(at: Expr, message: string): never {
    throw new ExpressionProblem(message, this.#offsetOf(at));
  }

  #literal(expr: Expr, { constantKind }: Kind<'constExpr'>): CelType {
    switch (constantKind.case) {
      case 'boolValue':
        return 'bool';
      case 'int64Value':
        return 'int';
      case 'doubleValue':
        return 'double';
      case 'stringValue':
        return 'string';
      case 'nullValue':
        return this.#refuse(expr, 'nothing is null here: has(x.field) tells whether a field is there');
      default:
        return this.#refuse(expr, 'only true, false, whole numbers, decimals and strings can be written');
    }
  }

  #name(expr: Expr, { name }: Kind<'identExpr'>, { variables }: Scope): CelType {
    const type = variables.get(name);
    if (type) return type;
    const known = [...variables.keys()].filter((each) => !each.startsWith('@'));
    return this.#refuse(expr, `nothing is called ${name}; there is ${known.join(', ')}`);
  }

  #field(expr: Expr, { operand, field, testOnly }: Kind<'selectExpr'>, scope: Scope): CelType {
    const of = this.typeOf(operand, scope);
    const type = this.#fieldOf(expr, of, field);
    return testOnly ? 'bool' : type;
  }

  #fieldOf(expr: Expr, of: CelType, field: string): CelType {
    if (of === 'dyn') return 'dyn';
    if (typeof of !== 'string') {
      if ('map' in of) return of.map;
      if ('struct' in of) return this.#structField(expr, of, field);
    }
    return this.#refuse(expr, `${typeName(of)} has no fields, so no .${field}`);
  }

  #structField(expr: Expr, { struct, fields }: StructType, field: string): CelType {
    const found = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (found) return found.type;
    return this.#refuse(expr, `${struct} has no field ${field}; it has ${Object.keys(fields).join(', ')}`);
  }

  #call(expr: Expr, { function: name, target, args }: Kind<'callExpr'>, scope: Scope): CelType {
    if (MACROS.includes(name)) {
      const usage = name === 'has' ? 'has(x.field)' : `list.${name}(x, …)`;
      return this.#refuse(expr, `${name} is written ${usage}`);
    }
    const given = args.map((arg) => this.typeOf(arg, scope));
    const [first = 'dyn', second = 'dyn', third = 'dyn'] = given;
    switch (name) {
      case '_==_':
      case '_!=_':
        if (fits(first, second) || fits(second, first)) return 'bool';
        return this.#refuse(expr, `this compares ${typeName(first)} with ${typeName(second)}, which are never equal`);
      case '_?_:_':
        if (!fits(first, 'bool')) this.#refuse(expr, `this decides by ${typeName(first)}, and not by true or false`);
        return this.#join(expr, second, third);
      case '@in':
        return this.#in(expr, first, second);
      case '_[_]':
        return this.#index(expr, first, second);
    }
    const receiver = target ? [this.typeOf(target, scope)] : [];
    return this.#overload(expr, { name, isMethod: target !== undefined }, [...receiver, ...given]);
  }

  #in(expr: Expr, item: CelType, of: CelType): CelType {
    if (of === 'dyn') return 'bool';
    const items = typeof of === 'string' ? undefined : 'list' in of ? of.list : 'map' in of ? 'string' : undefined;
    if (items === undefined) return this.#refuse(expr, `this looks in ${typeName(of)}, which is no list and no map`);
    if (fits(item, items)) return 'bool';
    return this.#refuse(expr, `this looks for ${typeName(item)} in ${typeName(of)}`);
  }

  #index(expr: Expr, of: CelType, by: CelType): CelType {
    if (of === 'dyn') return 'dyn';
    if (typeof of !== 'string') {
      if ('list' in of && fits(by, 'int')) return of.list;
      if ('map' in of && fits(by, 'string')) return of.map;
    }
    return this.#refuse(expr, `${typeName(of)} cannot be read by [${typeName(by)}]`);
  }

  #overload(expr: Expr, { name, isMethod }: { name: string; isMethod: boolean }, given: CelType[]): CelType {
    const table = isMethod ? METHODS : FUNCTIONS;
    const signatures: Signature[] | undefined = Object.hasOwn(table, name) ? table[name] : undefined;
    if (!signatures) return this.#refuse(expr, `there is no function ${name}; docs/expressions.md lists them`);
    const found = signatures.find(
      ({ takes }) => takes.length === given.length && takes.every((wanted, at) => fits(given[at] ?? 'dyn', wanted)),
    );
    if (found) return given.includes('dyn') || typeof found.gives === 'string' ? found.gives : this.#list(found, given);
    const operator = name.replaceAll('_', '');
    return this.#refuse(expr, `${operator} does not take ${given.map(typeName).join(' and ') || 'nothing'}`);
  }

  /** A list made of lists holds what they hold. */
  #list({ gives, takes }: Signature, given: CelType[]): CelType {
    return takes.every((wanted) => wanted === gives) ? (given[0] ?? gives) : gives;
  }

  #loop(expr: Expr, loop: Kind<'comprehensionExpr'>, outer: Scope): CelType {
    const scope = { ...outer, loops: outer.loops + 1 };
    if (scope.loops > LIMITS.loops) this.#refuse(expr, `loops nested deeper than ${LIMITS.loops}: say it flatter`);
    const range = this.typeOf(loop.iterRange, outer);
    const item = this.#itemOf(expr, range);
    const within = (accumulated: CelType): Scope => ({
      ...scope,
      variables: new Map([...scope.variables, [loop.iterVar, item], [loop.accuVar, accumulated]]),
    });
    const start = this.typeOf(loop.accuInit, scope);
    const accumulated = this.typeOf(loop.loopStep, within(start));
    this.typeOf(loop.loopCondition, within(accumulated));
    return this.typeOf(loop.result, within(accumulated));
  }

  #itemOf(expr: Expr, range: CelType): CelType {
    if (range === 'dyn') return 'dyn';
    if (typeof range !== 'string') {
      if ('list' in range) return range.list;
      if ('map' in range) return 'string';
    }
    return this.#refuse(expr, `this goes through ${typeName(range)}, which is no list and no map`);
  }

  #joined(expr: Expr, before: CelType, scope: Scope): CelType {
    return this.#join(expr, before, this.typeOf(expr, scope));
  }

  /** The type of what is either of both. */
  #join(expr: Expr, a: CelType, b: CelType): CelType {
    if (a === 'dyn') return b;
    if (fits(b, a)) return a;
    return this.#refuse(expr, `this mixes ${typeName(a)} and ${typeName(b)}`);
  }
}
