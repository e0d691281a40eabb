// Preloaded into hallpass: it finds the files of a pod's ServiceAccount where BENCH_SERVICE_ACCOUNT says. JavaScript, since
// one file with types would load what strips them.
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const mounted = '/var/run/secrets/kubernetes.io/serviceaccount/';
const directory = process.env.BENCH_SERVICE_ACCOUNT ?? '';
const { readFile } = promises;

promises.readFile = (path, ...options) => {
  const there = typeof path === 'string' && path.startsWith(mounted);
  return readFile(there ? join(directory, path.slice(mounted.length)) : path, ...options);
};
syncBuiltinESMExports();
