// Builds hallpass's container image without a container engine: `node image/build.ts` writes dist/hallpass-image.tar, an
// OCI archive that `docker load`, `podman load`, `skopeo copy oci-archive:` and `ctr images import` take.
// `node image/build.ts --rootfs DIR` writes the file tree alone: the Dockerfile's way to the same image.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { writeImageArchive } from './archive.ts';
import { NODE_FLAGS } from './node-flags.ts';
import { architecture, buildRootfs, checkRootfs } from './rootfs.ts';

const { values } = parseArgs({ options: { rootfs: { type: 'string' } } });
const checkout = resolve(import.meta.dirname, '..');
const { version, license } = z
  .object({ version: z.string(), license: z.string() })
  .parse(JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')));
const work = mkdtempSync(join(tmpdir(), 'hallpass-image-'));
const base = join(work, 'base');
const app = join(work, 'app');
try {
  buildRootfs({ checkout, base, app, notice: (line) => console.error(line) });
  checkRootfs(base, app);
  if (values.rootfs !== undefined) {
    for (const tree of [base, app]) cpSync(tree, values.rootfs, { recursive: true });
    // Whoever checked the sources out, and under whichever umask: the image's user must be able to read them.
    execFileSync('chmod', ['-R', 'u=rwX,go=rX', values.rootfs]);
  } else {
    const file = join(checkout, 'dist/hallpass-image.tar');
    const name = 'localhost/hallpass:dev';
    const { digest, bytes } = writeImageArchive(file, [base, app], {
      name,
      architecture: architecture(),
      user: '65532:65532',
      workingDirectory: '/app',
      entrypoint: ['/usr/local/bin/node', ...NODE_FLAGS, '/app/src/main.js'],
      environment: ['PATH=/usr/local/bin', 'NODE_ENV=production'],
      labels: {
        'org.opencontainers.image.title': 'hallpass',
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': license,
      },
    });
    const megabytes = bytes / 1e6;
    console.log(`dist/hallpass-image.tar: ${name}, ${architecture()}, ${megabytes.toFixed(0)} MB unpacked, ${digest}`);
    if (megabytes >= 200) throw new Error('the image is over 200 MB: what grew?');
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
