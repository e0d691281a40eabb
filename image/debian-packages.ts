// The Debian packages whose shared libraries the image takes: exact versions and digests, so that two builds give one
// image. They are Debian 12's, the oldest glibc that Node 24's own binaries are built to run on with room to spare.
// To renew: `apt-get update && apt-cache show libc6 libgcc-s1 libstdc++6 gcc-12-base` on Debian 12, versions and SHA256.

export type Architecture = 'amd64' | 'arm64';
export type DebianPackage = { name: string; version: string; sha256: Record<Architecture, string> };

const gcc = '12.2.0-14+deb12u1';

export const debianPackages: DebianPackage[] = [
  {
    name: 'libc6',
    version: '2.36-9+deb12u14',
    sha256: {
      amd64: 'ba4f88f73dbc3ae9055f3c20f4523bfdbaf1ad13ff95e258924f77d20b4fbedf',
      arm64: '01f4330719fd4f65580e16ea5a0527f372fca750e8f588d26deaf09f2d3b1cf4',
    },
  },
  {
    name: 'libgcc-s1',
    version: gcc,
    sha256: {
      amd64: '3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7',
      arm64: '576926b283613db80168ddf76380a3bd877602778cf0d226caa7bfbfa71eacf3',
    },
  },
  {
    name: 'libstdc++6',
    version: gcc,
    sha256: {
      amd64: '5cd3171216d4ab0fc911cfe9c35509bf2dd8f47761c43b7f6a4296701551a24d',
      arm64: '26e138c677a985775331373828a6c286c551ff397cb735d00e2383cb273d1cb2',
    },
  },
  // Holds the licence texts of the two above.
  {
    name: 'gcc-12-base',
    version: gcc,
    sha256: {
      amd64: '1896a2aacf4ad681ff5eacc24a5b0ca4d5d9c9b9c9e4b6de5197bc1e116ea619',
      arm64: '674cf6cba6d432bd200c45fe866c1652c7a53523cc2e7a613e05bc4abf7b5440',
    },
  },
];
