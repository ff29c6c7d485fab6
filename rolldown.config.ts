import { defineConfig } from 'rolldown';

/** The worker in one file with all it imports: it boots in half the time of some 800 modules. */
export default defineConfig({
  input: 'packages/worker/dist/main.js',
  platform: 'node',
  output: {
    file: 'packages/worker/dist/bundle.js',
    format: 'esm',
    sourcemap: true,
    // Node keeps the text in memory; names stay, for those who read stack traces.
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
  },
});
