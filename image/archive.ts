// Writes file trees as an OCI image archive (image-spec v1.1: oci-layout, index.json, blobs), byte for byte the same for
// the same trees: sorted names, no times, no owners.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export type ImageConfig = {
  /** With a tag, e.g. `localhost/hallpass:dev`. */
  name: string;
  architecture: string;
  user: string;
  workingDirectory: string;
  entrypoint: string[];
  environment: string[];
  labels: Record<string, string>;
};

/** Writes the image with one layer per tree, in that order, to `file`; returns its manifest's digest and the layers' bytes. */
export function writeImageArchive(
  file: string,
  trees: string[],
  config: ImageConfig,
): { digest: string; bytes: number } {
  mkdirSync(dirname(file), { recursive: true });
  const work = mkdtempSync(`${file}.`);
  try {
    const blobs = join(work, 'blobs/sha256');
    mkdirSync(blobs, { recursive: true });
    const put = (value: unknown): { digest: string; size: number } => {
      const text = JSON.stringify(value);
      const digest = createHash('sha256').update(text).digest('hex');
      writeFileSync(join(blobs, digest), text);
      return { digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
    };
    const layers = trees.map((tree) => {
      tar(join(work, 'layer'), tree, '.');
      const digest = sha256(join(work, 'layer'));
      renameSync(join(work, 'layer'), join(blobs, digest));
      // Not compressed: registries' clients do that on a push, and containerd imports it faster.
      return {
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: `sha256:${digest}`,
        size: statSync(join(blobs, digest)).size,
      };
    });
    const image = put({
      created: '1970-01-01T00:00:00Z',
      architecture: config.architecture,
      os: 'linux',
      config: {
        User: config.user,
        WorkingDir: config.workingDirectory,
        Entrypoint: config.entrypoint,
        Env: config.environment,
        Labels: config.labels,
      },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
    });
    const manifest = put({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...image },
      layers,
    });
    const tag = config.name.slice(config.name.lastIndexOf(':') + 1);
    writeFileSync(join(work, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(
      join(work, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            ...manifest,
            platform: { architecture: config.architecture, os: 'linux' },
            // containerd takes the whole name from the first, other tools the tag from the second.
            annotations: { 'io.containerd.image.name': config.name, 'org.opencontainers.image.ref.name': tag },
          },
        ],
      }),
    );
    tar(join(work, 'archive'), work, 'oci-layout', 'index.json', 'blobs');
    renameSync(join(work, 'archive'), file);
    return { digest: manifest.digest, bytes: layers.reduce((sum, layer) => sum + layer.size, 0) };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function tar(file: string, directory: string, ...members: string[]): void {
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX'];
  execFileSync('tar', ['--create', '--format=gnu', ...same, '--file', file, '--directory', directory, ...members]);
}

function sha256(file: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1 << 20);
  const descriptor = openSync(file, 'r');
  try {
    for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer))
      hash.update(buffer.subarray(0, read));
  } finally {
    closeSync(descriptor);
  }
  return hash.digest('hex');
}
