// Writes the image of the pods' sandboxes, one static program that sleeps: `node pause-image.ts BUSYBOX FILE`.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeImageArchive } from '../../image/archive.ts';
import { architecture } from '../../image/rootfs.ts';

const [busybox, file] = process.argv.slice(2);
if (busybox === undefined || file === undefined) throw new Error('usage: pause-image.ts BUSYBOX FILE');
const tree = mkdtempSync(join(tmpdir(), 'hallpass-pause-'));
try {
  mkdirSync(join(tree, 'bin'));
  copyFileSync(busybox, join(tree, 'bin/busybox'));
  chmodSync(join(tree, 'bin/busybox'), 0o755);
  symlinkSync('busybox', join(tree, 'bin/sleep'));
  writeImageArchive(file, [tree], {
    name: 'localhost/pause:1',
    architecture: architecture(),
    user: '65535:65535',
    workingDirectory: '/',
    entrypoint: ['/bin/sleep', '2147483647'],
    environment: [],
    labels: {},
  });
} finally {
  rmSync(tree, { recursive: true, force: true });
}
