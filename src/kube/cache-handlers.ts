// Whoever is told of what changes in a cache, one after another. What one of them throws is logged and stops nothing.
import type { CacheEvent } from './cache.ts';
import type { Log } from './log.ts';
import type { KubeMetrics } from './metrics.ts';
import { type KubeObject, type Resource, resourceName } from './object.ts';

type Handler<T extends KubeObject> = (event: CacheEvent<T>) => void;

export class CacheHandlers<T extends KubeObject> {
  readonly #resource: Resource<T>;
  readonly #log: Log;
  readonly #metrics: KubeMetrics | undefined;
  readonly #handlers: Handler<T>[] = [];

  constructor(o: { resource: Resource<T>; log: Log; metrics: KubeMetrics | undefined }) {
    this.#resource = o.resource;
    this.#log = o.log;
    this.#metrics = o.metrics;
  }

  /** Tells the handler of everything from here on, and first of what is there already. */
  add(handler: Handler<T>, present: Iterable<T>): void {
    this.#handlers.push(handler);
    for (const object of present) this.#call(handler, { type: 'added', object, initial: true, own: false });
  }

  tell(event: CacheEvent<T>): void {
    for (const handler of this.#handlers) this.#call(handler, event);
  }

  #call(handler: Handler<T>, event: CacheEvent<T>): void {
    const failed = (error: unknown): void => {
      this.#metrics?.handlerFailed(this.#resource.plural);
      const { namespace, name } = event.object.metadata;
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#log.error('a handler of cache events failed', {
        resource: resourceName(this.#resource),
        namespace,
        name,
        error: message,
      });
    };
    try {
      const result: unknown = handler(event);
      // An async handler is no contract here, but its rejection would end the process.
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
