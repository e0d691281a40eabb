// The control plane's keys: a certificate authority of its own, and what it signs.
import type { webcrypto } from 'node:crypto';
import './reflection.ts';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const lifetimeMs = 10 * 365 * 86_400_000;

/** A key and a certificate or, for `keyPair`, its public key; both PEM. */
export type Signed = { certificate: string; key: string };

export type CertificateAuthority = {
  /** PEM. */
  certificate: string;
  /** PEM: for the controller that signs what CertificateSigningRequests ask for. */
  key: string;
  /** A serving certificate for 127.0.0.1, localhost and the in-cluster names. */
  serving(): Promise<Signed>;
  /** A client certificate: Kubernetes reads the user from CN and the groups from O. */
  client(user: string, groups: readonly string[]): Promise<Signed>;
};

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

async function generate(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

/** The private key, as a client reads it. */
export async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey));
}

/** A key pair for signing service account tokens. */
export async function signingKeys(): Promise<{ publicKey: string; key: string }> {
  const keys = await generate();
  return {
    publicKey: pem('PUBLIC KEY', await crypto.subtle.exportKey('spki', keys.publicKey)),
    key: await privatePem(keys),
  };
}

/** A new certificate authority. Its certificates are valid from five minutes ago, against clocks that differ. */
export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  const keys = await generate();
  const notBefore = new Date(Date.now() - 300_000);
  const notAfter = new Date(Date.now() + lifetimeMs);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['hallpass-test-ca'] }],
    keys,
    signingAlgorithm: algorithm,
    notBefore,
    notAfter,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });

  async function sign(subject: x509.JsonName, extensions: x509.Extension[]): Promise<Signed> {
    const subjectKeys = await generate();
    const certificate = await x509.X509CertificateGenerator.create({
      subject,
      issuer: authority.subjectName,
      publicKey: subjectKeys.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      notBefore,
      notAfter,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ...extensions,
      ],
    });
    return { certificate: `${certificate.toString('pem')}\n`, key: await privatePem(subjectKeys) };
  }

  return {
    certificate: `${authority.toString('pem')}\n`,
    key: await privatePem(keys),
    serving: () =>
      sign(
        [{ CN: ['kube-apiserver'] }],
        [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension([
            { type: 'ip', value: '127.0.0.1' },
            { type: 'ip', value: '10.0.0.1' },
            { type: 'dns', value: 'localhost' },
            { type: 'dns', value: 'kubernetes.default' },
            { type: 'dns', value: 'kubernetes.default.svc' },
          ]),
        ],
      ),
    client: (user, groups) =>
      // One relative name a group: several values in one would be read as one set.
      sign(
        [...groups.map((group) => ({ O: [group] })), { CN: [user] }],
        [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
      ),
  };
}
