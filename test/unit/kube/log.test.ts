import { Writable } from 'node:stream';
import { expect } from 'chai';
import { createLog } from '../../../src/kube/log.ts';

function collected(format: 'json' | 'text', level?: 'debug' | 'info') {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { lines, log: createLog({ format, level, stream }) };
}

describe('the log', () => {
  it('writes one line of JSON for each message, with its fields', () => {
    const { lines, log } = collected('json');
    log.warn('grant lapsed', { grant: 'demo/triage', lagMs: 12 });
    expect(lines).to.have.length(1);
    expect(JSON.parse(lines[0] ?? '')).to.include({
      level: 'warn',
      message: 'grant lapsed',
      grant: 'demo/triage',
      lagMs: 12,
    });
  });

  it('never lets a field replace the level or the message', () => {
    const { lines, log } = collected('json');
    log.info('the message', { message: 'forged', level: 'error' });
    expect(JSON.parse(lines[0] ?? '')).to.include({ level: 'info', message: 'the message' });
  });

  it('holds back what is below its level', () => {
    const { lines, log } = collected('text');
    log.debug('detail');
    log.info('news');
    expect(lines.join('')).to.include('news').and.not.include('detail');
  });

  it('shows escapes, line breaks and directional marks of hostile strings instead of obeying them', () => {
    const hostile = 'a\u001b[2Jb\r\nINFO forged\u202egnp.exe\u200b\u{e0041}\u009b1m';
    for (const format of ['json', 'text'] as const) {
      const { lines, log } = collected(format);
      log.error(hostile, { [hostile]: hostile, nested: { deep: [hostile] }, error: new Error(hostile) });
      expect(lines).to.have.length(1);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is tested
      expect(lines[0]?.trimEnd()).to.not.match(/[\u0000-\u001f\u007f-\u009f\u200b\u202e\u{e0041}]/u);
      expect(lines[0]).to.include('u{1b}');
    }
  });
});
