// Where the API server serves what: the paths of kinds, objects and subresources.
import { printable } from '../text.ts';
import type { KubeObject, ObjectRef, Resource } from './object.ts';

/** The path of a kind, in a namespace or over all of them. Every part is encoded: RBAC names may hold colons. */
export function pathOf<T extends KubeObject>(resource: Resource<T>, namespace?: string, name?: string): string {
  const root = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
  const scope = resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${resource.plural}${object}`;
}

/** The path of one object. Throws where a part is missing without which it would mean the whole collection. */
export function objectPath<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, subresource?: string): string {
  if (ref.name === '') throw new Error(`a ${resource.kind} must have a name to be asked for`);
  if (resource.namespaced && !ref.namespace)
    throw new Error(`${resource.kind} ${printable(ref.name)} needs a namespace`);
  return pathOf(resource, ref.namespace, ref.name) + (subresource ? `/${subresource}` : '');
}

/** `?a=1&b=2` of what is defined. */
export function queryOf(parameters: Record<string, string | number | boolean | undefined>): string {
  const parts = Object.entries(parameters)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** The plural and subresource in a path of our own making; for metrics, so names and namespaces are left out. */
export function resourceOfPath(path: string): string {
  const parts = (path.split('?')[0] ?? '').split('/').slice(path.startsWith('/api/') ? 3 : 4);
  const rest = parts[0] === 'namespaces' && parts.length > 2 ? parts.slice(2) : parts;
  return rest[2] === undefined ? (rest[0] ?? '') : `${rest[0]}/${rest[2]}`;
}
