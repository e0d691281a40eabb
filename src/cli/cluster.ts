// The cluster as a command sees it: with the rights of whoever runs it, and a refusal that says what would help.

import * as z from 'zod';
import { GROUP } from '../api/names.ts';
import { Client, isForbidden, isNotFound, pathOf } from '../kube/client.ts';
import { ServerClock } from '../kube/clock.ts';
import { loadCredentials } from '../kube/credentials.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import { closest } from './closest.ts';
import { asFailure, Failure, isKindUnknown, lacksRight } from './failure.ts';

export type ClusterOptions = { kubeconfig?: string; context?: string; namespace?: string };

/** A question whether somebody may do something, as RBAC sees it. */
export type Right = {
  verb: string;
  resource: string;
  group?: string;
  subresource?: string;
  namespace?: string;
  name?: string;
};

export type Cluster = {
  client: Client;
  clock: ServerClock;
  /** The namespace that was asked for, or that of the kubeconfig's context. */
  namespace: string;
  /** Who runs the command, as the API server knows them. */
  user(): Promise<{ username: string; groups?: string[] }>;
  /** Whether they may do something. */
  may(right: Right): Promise<boolean>;
  /** One object of ours by its name; where there is none of it, the failure names what may have been meant. */
  find<T extends KubeObject>(resource: Resource<T>, name: string): Promise<T>;
  /** Every object of one of our kinds; without a namespace, in all of them. */
  list<T extends KubeObject>(resource: Resource<T>, namespace: string | undefined): Promise<T[]>;
  /** Creates an object of ours, which may have a `generateName`. */
  create<T extends KubeObject>(resource: Resource<T>, namespace: string, object: object): Promise<T>;
};

const selfReview = z.object({
  status: z.object({
    userInfo: z.object({ username: z.string(), groups: z.array(z.string()).optional() }),
  }),
});
const accessReview = z.object({ status: z.object({ allowed: z.boolean() }) });

/** Does something with the cluster that is meant, and lets go of it. Throws a Failure for whatever goes wrong with it. */
export async function withCluster<R>(o: ClusterOptions, use: (cluster: Cluster) => Promise<R>): Promise<R> {
  let client: Client | undefined;
  try {
    const credentials = await loadCredentials({ kubeconfig: o.kubeconfig, context: o.context });
    const clock = new ServerClock();
    client = new Client({ credentials, clock, userAgent: 'kubectl-hallpass' });
    return await use(clusterOf(client, clock, o.namespace ?? credentials.namespace ?? 'default'));
  } catch (error) {
    throw asFailure(error, client?.server);
  } finally {
    client?.close();
  }
}

function clusterOf(client: Client, clock: ServerClock, namespace: string): Cluster {
  let user: ReturnType<Cluster['user']> | undefined;
  const askUser = async () => {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
    const answer = await client.createRaw('/apis/authentication.k8s.io/v1/selfsubjectreviews', body);
    return selfReview.parse(answer).status.userInfo;
  };
  const cluster: Cluster = {
    client,
    clock,
    namespace,
    user() {
      user ??= askUser();
      return user;
    },
    async may(right) {
      const answer = await client.createRaw('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: right },
      });
      return accessReview.parse(answer).status.allowed;
    },
    find: (resource, name) =>
      explained('get', resource, client.get(resource, { namespace, name }), namespace, async (error) => {
        if (!isNotFound(error) || isKindUnknown(error)) throw error;
        throw await notFound(resource, name);
      }),
    async list(resource, namespace) {
      return (await explained('list', resource, client.list(resource, { namespace }), namespace)).items;
    },
    async create(resource, namespace, object) {
      return resource.parse(
        await explained('create', resource, client.createRaw(pathOf(resource, namespace), object), namespace),
      );
    },
  };

  /** What was asked for; where RBAC refuses it, with the role that would give it. */
  async function explained<T extends KubeObject, R>(
    verb: string,
    resource: Resource<T>,
    asked: Promise<R>,
    where: string | undefined,
    otherwise?: (error: unknown) => Promise<R>,
  ): Promise<R> {
    try {
      return await asked;
    } catch (error) {
      // Admission refuses with 403, too, and says why itself.
      const byAdmission = error instanceof Error && error.message.includes('AdmissionPolicy');
      if (isForbidden(error) && resource.group === GROUP && !byAdmission) {
        const scope = resource.namespaced ? where : undefined;
        const { username: user } = await cluster.user();
        throw lacksRight({ verb, resource: resource.plural, namespace: scope, user });
      }
      if (otherwise) return otherwise(error);
      throw error;
    }
  }

  async function notFound<T extends KubeObject>(resource: Resource<T>, name: string): Promise<Failure> {
    const what = `there is no ${resource.kind} ${name} in namespace ${namespace}`;
    // Who may get may not list, which is no reason to say another thing.
    const there = await client.list(resource, { namespace }).then(
      ({ items }) => items.map(({ metadata }) => metadata.name),
      () => [],
    );
    const meant = closest(name, there);
    if (meant !== undefined) return new Failure(`${what}; did you mean ${meant}?`);
    const some = there.slice(0, 5).join(', ') + (there.length > 5 ? ', …' : '');
    return new Failure(`${what}${some ? ` (there is: ${some})` : ''}; another namespace is chosen with -n`);
  }

  return cluster;
}
