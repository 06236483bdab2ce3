// Makes the types of every operation in src/ from the schema; `npm run generate`.
import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  // The file beside this repository's README; a server's address does as well, if it answers introspection.
  schema: '../../schema.graphql',
  documents: ['src/**/*.ts', '!src/gql/**'],
  emitLegacyCommonJSImports: false,
  generates: {
    './src/gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        // Documents stay text, ready to be sent.
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        // How the API's own scalars look in JSON; see docs/api.md.
        defaultScalarType: 'unknown',
        scalars: {
          Date: 'string',
          DateTime: 'string',
          Decimal: 'string',
          EpochSeries: 'number[]',
          FloatSeries: 'number[]',
          IntSeries: 'number[]',
        },
      },
    },
  },
};

export default config;
