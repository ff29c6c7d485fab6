import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** A library that a bundle holds, wholly or in part. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression of its package.json. */
  readonly licence: string;
  /** Its folder. */
  readonly folder: string;
}

/** Something else that an image holds. */
export interface Component {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** Package URL, github.com/package-url/purl-spec. */
  readonly purl: string;
}

/**
 * The libraries that a bundle was made of, by its source map: what is in the file, not what a lockfile would allow.
 *
 * @param sourceMap path of the bundle's source map
 * @throws Error when a source is neither our own nor part of a package
 */
export function bundledPackages(sourceMap: string): readonly BundledPackage[] {
  const { sources }: { readonly sources: readonly string[] } = JSON.parse(readFileSync(sourceMap, 'utf8'));
  const found = new Map<string, BundledPackage>();
  for (const source of sources) {
    if (!source.includes('/node_modules/')) continue;
    const library = packageOf(dirname(resolve(dirname(sourceMap), source)));
    found.set(`${library.name}@${library.version}`, library);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The package that a file belongs to: the nearest package.json with a name and a version. */
function packageOf(folder: string): BundledPackage {
  const path = join(folder, 'package.json');
  if (existsSync(path)) {
    const { name, version, license }: Record<string, unknown> = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof name === 'string' && typeof version === 'string') {
      return { name, version, licence: typeof license === 'string' ? license : 'NOASSERTION', folder };
    }
  }
  const parent = dirname(folder);
  if (parent === folder) throw new Error(`no package.json above a bundled file in ${folder}`);
  return packageOf(parent);
}

/** Licence files of the libraries, one after the other, for the image: most licences ask for that. */
export function licenceTexts(packages: readonly BundledPackage[]): string {
  const names = [
    'LICENSE',
    'LICENSE.md',
    'LICENSE.txt',
    'license',
    'LICENCE',
    'License',
    'LICENSE-MIT.txt',
    'LICENSE.MIT',
  ];
  return packages
    .map(({ name, version, licence, folder }) => {
      const file = names.map((each) => join(folder, each)).find((path) => existsSync(path));
      const text = file === undefined ? '(the package has no licence file)' : readFileSync(file, 'utf8').trim();
      return `${name} ${version}: ${licence}\n\n${text}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}

/** A bill of materials in SPDX 2.3 (spdx.github.io/spdx-spec/v2.3), the same for the same input. */
export function spdxDocument(
  image: { readonly name: string; readonly version: string; readonly epoch: number },
  packages: readonly BundledPackage[],
  components: readonly Component[],
): unknown {
  const parts: readonly Component[] = [
    ...components,
    ...packages.map(({ name, version, licence }) => ({
      name,
      version,
      licence,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    })),
  ];
  const content = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
  const root = 'SPDXRef-image';
  const idOf = (index: number): string => `SPDXRef-part-${index}`;
  const common = { downloadLocation: 'NOASSERTION', filesAnalyzed: false, copyrightText: 'NOASSERTION' };
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${image.name}-${image.version}`,
    documentNamespace: `https://spdx.org/spdxdocs/${image.name}-${image.version}-${content}`,
    creationInfo: {
      created: new Date(image.epoch * 1000).toISOString().replace('.000Z', 'Z'),
      creators: ['Tool: shard-controller tools/images'],
    },
    documentDescribes: [root],
    packages: [
      {
        SPDXID: root,
        name: image.name,
        versionInfo: image.version,
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: 'Apache-2.0',
        primaryPackagePurpose: 'CONTAINER',
        ...common,
      },
      ...parts.map(({ name, version, licence, purl }, index) => ({
        SPDXID: idOf(index),
        name,
        versionInfo: version,
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: licence,
        externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
        ...common,
      })),
    ],
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: root },
      ...parts.map((_, index) => ({
        spdxElementId: root,
        relationshipType: 'CONTAINS',
        relatedSpdxElement: idOf(index),
      })),
    ],
  };
}
