import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.tap/**', 'client/openapi.ts'] }),
  {
    rules: {
      // OAuth names its members in snake_case.
      camelcase: 'off',
      // A TypeBox schema and the type that it stands for share one name.
      'no-redeclare': 'off'
    }
  },
  {
    files: ['examples/browser/*.js'],
    languageOptions: { globals: { document: 'readonly', FormData: 'readonly' } }
  },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': neostandard.plugins['typescript-eslint'].plugin },
    rules: {
      '@typescript-eslint/no-redeclare': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error'
    }
  }
]
