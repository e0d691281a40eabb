import { expect } from 'chai';
import { Registry } from 'prom-client';
import { createKubeMetrics } from '../../../src/kube/metrics.ts';

describe('the metrics of queues and controllers', () => {
  it('tell depth, waiting and working time, retries, what is unfinished, and results', async () => {
    const registry = new Registry();
    const metrics = createKubeMetrics(registry);
    const queue = metrics.queue('grants');
    queue.added();
    queue.waited(0.02);
    queue.worked(0.2);
    queue.retried();
    queue.state(() => ({ ready: 3, unfinishedSeconds: 7, longestSeconds: 5 }));
    metrics.controller('grants').reconciled('success', 0.1);
    metrics.controller('grants').running(() => 2);
    const text = await registry.metrics();
    for (const line of [
      'workqueue_adds_total{name="grants"} 1',
      'workqueue_depth{name="grants"} 3',
      'workqueue_retries_total{name="grants"} 1',
      'workqueue_queue_duration_seconds_sum{name="grants"} 0.02',
      'workqueue_work_duration_seconds_sum{name="grants"} 0.2',
      'workqueue_unfinished_work_seconds{name="grants"} 7',
      'workqueue_longest_running_processor_seconds{name="grants"} 5',
      'controller_reconcile_total{controller="grants",result="success"} 1',
      'controller_active_workers{controller="grants"} 2',
    ]) {
      expect(text).to.include(line);
    }
  });

  it('tell what a queue holds as of each scrape', async () => {
    const registry = new Registry();
    let ready = 1;
    createKubeMetrics(registry)
      .queue('grants')
      .state(() => ({ ready, unfinishedSeconds: 0, longestSeconds: 0 }));
    await registry.metrics();
    ready = 2;
    expect(await registry.metrics()).to.include('workqueue_depth{name="grants"} 2');
  });
});
