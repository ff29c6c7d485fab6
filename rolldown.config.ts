import { defineConfig } from 'rolldown';

/** A program in one file with all it imports: it boots in half the time of some 800 modules. */
const program = (name: 'cli' | 'manager' | 'worker') =>
  defineConfig({
    input: `packages/${name}/dist/main.js`,
    platform: 'node',
    output: {
      file: `packages/${name}/dist/bundle.js`,
      format: 'esm',
      sourcemap: true,
      codeSplitting: false,
      // Node keeps the text in memory; names stay, for those who read stack traces.
      minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
    },
  });

export default [program('cli'), program('manager'), program('worker')];
