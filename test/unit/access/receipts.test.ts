// The receipt as it is written: who and what, in words that a column can print.
import { expect } from 'chai';
import type { Rule } from '../../../src/access/grant-objects.ts';
import { renderReceipt } from '../../../src/access/receipts.ts';
import { parseReceipt } from '../../../src/api/receipt.ts';

const pods: Rule = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] };

function receipt(access: { namespace: string; rules: Rule[] }[], username = 'jane') {
  const stamp = { username };
  return renderReceipt({
    grant: { namespace: 'demo', name: 'look', uid: 'u-1' },
    spec: { agent: 'triage', task: { description: 'Look' }, permissions: [], validity: { duration: '1h' } },
    specHash: 'v1-0',
    stamps: { creator: stamp, requester: stamp },
    agentUid: 'u-2',
    access,
    startTime: '2026-03-01T09:00:00Z',
    expiresAt: '2026-03-01T10:00:00Z',
    decision: 'd-1',
  });
}

describe('a receipt', () => {
  it('says in a line what was given, each rule once with the namespaces in which it held', () => {
    const apps: Rule = { verbs: ['patch'], apiGroups: ['', 'apps'], resources: ['deployments/scale'] };
    const named: Rule = { ...pods, resourceNames: ['web-0', 'web-1'] };
    const { summary } = receipt([
      { namespace: 'demo', rules: [pods, apps] },
      { namespace: 'demo-other', rules: [pods, named] },
    ]).spec;
    expect(summary).to.equal(
      'get,list pods in demo,demo-other; patch deployments/scale,deployments.apps/scale in demo; get,list pods named web-0,web-1 in demo-other',
    );
  });

  it('is one that its schema takes, however much was given and whatever its author is called', () => {
    const resourceNames = Array.from({ length: 32 }, (_, at) => `🙂${'x'.repeat(40)}${at}`);
    const hostile = 'eve\u009b31m\u202e\u2028'.repeat(60);
    const rendered = receipt([{ namespace: 'demo', rules: [{ ...pods, resourceNames }] }], hostile);
    const parsed = parseReceipt(rendered);
    expect(parsed.invalid).to.equal(undefined);
    expect(parsed.spec?.summary).to.match(/^get,list pods named 🙂x.*…$/);
    expect(parsed.spec?.requester.username).to.match(/^eve\\u\{9b\}31m\\u\{202e\}.*…$/);
  });
});
