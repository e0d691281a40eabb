// The algebra of RBAC rules, with exactly Kubernetes' semantics: what one list of rules covers of another, and whether
// a list of rules allows a request. Pure, without dependencies: this file can be imported from anywhere, unbuilt.
//
// Source of the semantics (v1.37.2): `Covers` in k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go,
// `RulesAllow` in plugin/pkg/auth/authorizer/rbac/rbac.go with pkg/apis/rbac/v1/evaluation_helpers.go.
//
// Kubernetes breaks each servant rule down into atoms (one group, one resource, one verb, at most one name) and looks
// for an owner rule for each. A rule of ours may have 16 × 16 × 16 × 32 of them, so here a servant rule is a box with
// its lists as axes, and the walk from the outer axis inwards keeps the set of owner rules that reach the place where it
// stands; it goes in only where none of them covers the rest whole. What it finds, and in which order, is the same.

/** A rule as in rbac.authorization.k8s.io/v1. A list that is absent, empty or null (Go's nil) means the same. */
export type PolicyRule = {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  /** Empty: every object of the resource, and collections too. */
  resourceNames?: string[];
  nonResourceURLs?: string[];
};

/** A request for an API resource. As in a SubjectAccessReview, a field that is left out is empty. */
export type ResourceRequest = {
  verb: string;
  apiGroup?: string;
  resource: string;
  subresource?: string;
  /** Empty where the request names no object: list, watch, create, deletecollection. */
  name?: string;
};

/** A request for a path that is no API resource, such as /healthz. */
export type NonResourceRequest = { verb: string; path: string; resource?: undefined };

/**
 * Whether at least one of the rules allows the request, as the API server's RBAC authorizer decides it. A request that
 * names a resource is a resource request.
 */
export function rulesAllow(rules: PolicyRule[], request: ResourceRequest | NonResourceRequest): boolean {
  const { verb } = request;
  if (request.resource === undefined) {
    const { path } = request;
    return nullable(rules).some(
      (rule) => allows(rule.verbs, verb) && nullable(rule.nonResourceURLs).some((pattern) => urlMatches(pattern, path)),
    );
  }
  const group = request.apiGroup ?? '';
  const name = request.name ?? '';
  const subresource = request.subresource ?? '';
  const exact = subresource === '' ? request.resource : `${request.resource}/${subresource}`;
  // "*" includes all subresources. "deployments/*" is no wildcard: it names a subresource "*", which nothing has.
  const ofEvery = subresource === '' ? exact : `*/${subresource}`;
  return nullable(rules).some((rule) => {
    const names = nullable(rule.resourceNames);
    return (
      allows(rule.verbs, verb) &&
      allows(rule.apiGroups, group) &&
      nullable(rule.resources).some((resource) => resource === '*' || resource === exact || resource === ofEvery) &&
      (names.length === 0 || names.includes(name))
    );
  });
}

/**
 * Whether the owner's rules, together, cover all that the servant's rules give, as the API server decides it when it
 * refuses escalation. `uncovered` holds, in Kubernetes' order and with its repetitions, every atom of the servant's
 * rules that no owner rule covers.
 *
 * `uncovered` is worked out when it is first read, since it can hold 131,072 atoms for a single rule of a grant; where
 * only its beginning is shown, take that from `uncoveredRules`.
 */
export function covers(owner: PolicyRule[], servant: PolicyRule[]): { covered: boolean; uncovered: PolicyRule[] } {
  const covered = uncoveredRules(owner, servant).next().done === true;
  let uncovered: PolicyRule[] | undefined = covered ? [] : undefined;
  return {
    covered,
    get uncovered() {
      uncovered ??= [...uncoveredRules(owner, servant)];
      return uncovered;
    },
  };
}

/**
 * The atoms of the servant's rules that no owner rule covers, one by one as they are asked for, in the order of
 * `covers(owner, servant).uncovered`. Atoms may share their arrays: they are to be read, not changed.
 */
export function* uncoveredRules(owner: PolicyRule[], servant: PolicyRule[]): Generator<PolicyRule, void, undefined> {
  const owners = nullable(owner);
  const unnamed = owners.filter((rule) => nullable(rule.resourceNames).length === 0);
  for (const rule of nullable(servant)) {
    if (coversByResource(owners, rule)) continue;
    const verbs = wildcardAxis('verbs', nullable(rule.verbs));
    const names = nullable(rule.resourceNames);
    const resources = [
      wildcardAxis('apiGroups', nullable(rule.apiGroups)),
      wildcardAxis('resources', nullable(rule.resources)),
      verbs,
    ];
    if (names.length > 0) {
      yield* uncoveredAtoms([...resources, nameAxis(names)], owners);
    } else {
      yield* uncoveredAtoms(resources, unnamed);
    }
    const urls = nullable(rule.nonResourceURLs);
    if (urls.length > 0) {
      // Kubernetes asks for an owner rule without resourceNames here too, though names mean nothing to a URL.
      yield* uncoveredAtoms([urlAxis(urls), verbs], unnamed);
    }
  }
}

/** Longer lists are compared by their index. */
const SHORT = 32;

/** Whether one owner rule covers each resource of a servant rule with all else, as is mostly so: found without building anything. */
function coversByResource(owners: PolicyRule[], servant: PolicyRule): boolean {
  const resources = nullable(servant.resources);
  if (nullable(servant.nonResourceURLs).length > 0 || resources.length > SHORT) return false;
  for (const resource of resources) {
    if (!owners.some((owner) => coversResource(owner, servant, resource))) return false;
  }
  return true;
}

function coversResource(owner: PolicyRule, servant: PolicyRule, resource: string): boolean {
  const [apiGroups, verbs, resources] = [nullable(owner.apiGroups), nullable(owner.verbs), nullable(owner.resources)];
  if (!holdsAll(apiGroups, nullable(servant.apiGroups), true)) return false;
  if (resources.length > SHORT || !isHeldResource(resources, resource)) return false;
  if (!holdsAll(verbs, nullable(servant.verbs), true)) return false;
  const [ownerNames, names] = [nullable(owner.resourceNames), nullable(servant.resourceNames)];
  return ownerNames.length === 0 || (names.length > 0 && holdsAll(ownerNames, names, false));
}

function holdsAll(list: string[], values: string[], wildcard: boolean): boolean {
  if (list.length > SHORT || values.length > SHORT) return false;
  if (wildcard && list.includes('*')) return true;
  for (const value of values) if (!list.includes(value)) return false;
  return true;
}

function isHeldResource(list: string[], value: string): boolean {
  if (list.includes(value) || list.includes('*')) return true;
  const slash = value.indexOf('/');
  return slash >= 0 && list.includes(`*${value.slice(slash)}`);
}

/** One list of a servant rule, as an axis of its box. */
type Axis = {
  field: keyof PolicyRule;
  values: string[];
  /** The positions of the values that this owner rule covers; one may come twice. */
  coveredBy: (owner: PolicyRule) => number[];
};

/** A set of owner rules, 32 to a word: thousands of them are intersected at once. */
type OwnerSet = Uint32Array;

/** An axis with the owner rules laid over it. */
type Level = {
  field: keyof PolicyRule;
  values: { value: string; owners: OwnerSet }[];
  /** The owner rules that cover the whole of this axis and of all inside it. */
  whole: OwnerSet;
};

function* uncoveredAtoms(axes: Axis[], owners: PolicyRule[]): Generator<PolicyRule, void, undefined> {
  if (axes.some((axis) => axis.values.length === 0)) {
    return;
  }
  const overlaps: number[][][] = [];
  for (const owner of owners) {
    const overlap = overlapOf(axes, owner);
    if (overlap !== undefined) {
      overlaps.push(overlap);
    }
  }
  const every = new Uint32Array(Math.ceil(overlaps.length / 32)).fill(0xffffffff);
  yield* gaps(levelsOf(axes, overlaps, every), 0, every, { verbs: [] });
}

/** The positions that this owner rule covers on each axis; undefined where it misses one altogether. */
function overlapOf(axes: Axis[], owner: PolicyRule): number[][] | undefined {
  const overlap: number[][] = [];
  for (const axis of axes) {
    const positions = axis.coveredBy(owner);
    if (positions.length === 0) {
      return undefined;
    }
    overlap.push(positions);
  }
  return overlap;
}

function levelsOf(axes: Axis[], overlaps: number[][][], every: OwnerSet): Level[] {
  const levels: Level[] = [];
  for (const [depth, { field, values: names }] of [...axes.entries()].reverse()) {
    const values = names.map((value) => ({ value, owners: new Uint32Array(every.length) }));
    for (const [number, overlap] of overlaps.entries()) {
      for (const position of overlap[depth] ?? []) {
        add(values[position]?.owners, number);
      }
    }
    const whole = values.reduce((set, { owners }) => intersection(set, owners), levels[0]?.whole ?? every);
    levels.unshift({ field, values, whole });
  }
  return levels;
}

/** What no owner covers, of the part of the servant rule that `prefix` has chosen and that only `owners` reach. */
function* gaps(
  levels: Level[],
  depth: number,
  owners: OwnerSet,
  prefix: PolicyRule,
): Generator<PolicyRule, void, undefined> {
  const level = levels[depth];
  if (level === undefined || intersect(owners, level.whole)) {
    return;
  }
  const innermost = depth === levels.length - 1;
  for (const { value, owners: covering } of level.values) {
    if (!innermost) {
      yield* gaps(levels, depth + 1, intersection(owners, covering), { ...prefix, [level.field]: [value] });
    } else if (!intersect(owners, covering)) {
      yield { ...prefix, [level.field]: [value] };
    }
  }
}

// Verbs, groups and resources: an owner's "*" covers every value, its "*/scale" every value with that subresource.
function wildcardAxis(field: 'verbs' | 'apiGroups' | 'resources', values: string[]): Axis {
  const index = indexOf(values);
  const everywhere = [...values.keys()];
  if (field === 'resources') {
    for (const [position, value] of values.entries()) {
      const slash = value.indexOf('/');
      if (slash >= 0) {
        addTo(index, `*${value.slice(slash)}`, position);
      }
    }
  }
  const coveredBy = (owner: PolicyRule) => {
    const list = nullable(owner[field]);
    return list.includes('*') ? everywhere : lookUp(index, list);
  };
  return { field, values, coveredBy };
}

/** Names of objects: no wildcard, but an owner without names covers them all. */
function nameAxis(values: string[]): Axis {
  const index = indexOf(values);
  const everywhere = [...values.keys()];
  const coveredBy = (owner: PolicyRule) => {
    const list = nullable(owner.resourceNames);
    return list.length === 0 ? everywhere : lookUp(index, list);
  };
  return { field: 'resourceNames', values, coveredBy };
}

/** Paths: an owner's trailing `*` covers all that begins with what stands before it, other patterns included. */
function urlAxis(values: string[]): Axis {
  const coveredBy = (owner: PolicyRule) => {
    const patterns = nullable(owner.nonResourceURLs);
    return [...values.keys()].filter((i) => patterns.some((pattern) => urlMatches(pattern, values[i] ?? '')));
  };
  return { field: 'nonResourceURLs', values, coveredBy };
}

function urlMatches(pattern: string, url: string): boolean {
  if (!pattern.endsWith('*')) {
    return pattern === url;
  }
  // All trailing asterisks go, as with Go's TrimRight; a loop, since /\*+$/ is quadratic on a hostile pattern.
  let end = pattern.length;
  while (end > 0 && pattern[end - 1] === '*') {
    end -= 1;
  }
  return url.startsWith(pattern.slice(0, end));
}

function allows(list: string[] | null | undefined, value: string): boolean {
  return nullable(list).some((entry) => entry === '*' || entry === value);
}

/** Kubernetes writes a nil list as null, and a ClusterRole that aggregates nothing has `rules: null`. */
function nullable<T>(list: T[] | null | undefined): T[] {
  return list ?? [];
}

function indexOf(values: string[]): Map<string, number[]> {
  const index = new Map<string, number[]>();
  for (const [position, value] of values.entries()) {
    addTo(index, value, position);
  }
  return index;
}

function addTo(index: Map<string, number[]>, key: string, position: number): void {
  const positions = index.get(key);
  if (positions === undefined) {
    index.set(key, [position]);
  } else {
    positions.push(position);
  }
}

function lookUp(index: Map<string, number[]>, list: string[]): number[] {
  const positions: number[] = [];
  for (const entry of list) {
    for (const position of index.get(entry) ?? []) {
      positions.push(position);
    }
  }
  return positions;
}

function add(set: OwnerSet | undefined, number: number): void {
  if (set !== undefined) {
    set[number >> 5] = (set[number >> 5] ?? 0) | (1 << (number & 31));
  }
}

function intersection(left: OwnerSet, right: OwnerSet): OwnerSet {
  const both = new Uint32Array(left.length);
  for (let i = 0; i < left.length; i += 1) {
    both[i] = (left[i] ?? 0) & (right[i] ?? 0);
  }
  return both;
}

function intersect(left: OwnerSet, right: OwnerSet): boolean {
  for (let i = 0; i < left.length; i += 1) {
    if (((left[i] ?? 0) & (right[i] ?? 0)) !== 0) {
      return true;
    }
  }
  return false;
}
