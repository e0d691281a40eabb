// Somebody who speaks to the API server with credentials of their own, and sees the whole answer: status, message, warnings.
import { request } from 'node:https';
import { z } from 'zod';
import type { Credentials } from '../../../src/kube/credentials.ts';

const statusSchema = z.object({ kind: z.literal('Status'), message: z.string() });

export type Answer = {
  code: number;
  /** The parsed body: the object, or a Status. */
  body: unknown;
  /** What the API server says on a refusal; empty otherwise. */
  message: string;
  warnings: string;
};

export type Call = {
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET';
  path: string;
  body?: unknown;
  /** Of a PATCH; merge, unless named. */
  patchType?: 'merge' | 'json' | 'apply';
  headers?: Record<string, string>;
};

const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** A caller with these credentials. */
export function caller(credentials: Credentials) {
  return {
    async call({ method, path, body, patchType, headers }: Call): Promise<Answer> {
      const token = await credentials.token?.();
      const text = body === undefined ? '' : JSON.stringify(body);
      return new Promise((resolve, reject) => {
        const sent = request(
          new URL(path, credentials.server),
          {
            method,
            agent: false,
            ca: credentials.certificateAuthority,
            cert: credentials.clientCertificate,
            key: credentials.clientKey,
            headers: {
              // Node sends no length with a DELETE, and without one the body is not read.
              'content-length': String(Buffer.byteLength(text)),
              'content-type': method === 'PATCH' ? patchTypes[patchType ?? 'merge'] : 'application/json',
              ...(token && { authorization: `Bearer ${token}` }),
              ...headers,
            },
          },
          (response) => {
            let answered = '';
            response.setEncoding('utf8');
            response.on('data', (chunk: string) => {
              answered += chunk;
            });
            response.on('error', reject);
            response.on('end', () => {
              const answer: unknown = answered.startsWith('{') ? JSON.parse(answered) : answered;
              const status = statusSchema.safeParse(answer);
              const warnings = [response.headers.warning ?? ''].flat().join('\n');
              resolve({
                code: response.statusCode ?? 0,
                body: answer,
                message: status.success ? status.data.message : '',
                warnings,
              });
            });
          },
        );
        sent.on('error', reject);
        sent.end(text);
      });
    },
  };
}

export type Caller = ReturnType<typeof caller>;
