import neostandard from 'neostandard'
import regexp from 'eslint-plugin-regexp'

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
    // A regular expression that needs quadratic time lets one request block all others.
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential', ignorePartial: false }]
    }
  },
  {
    files: ['examples/{browser,live}/*.js'],
    languageOptions: {
      globals: { document: 'readonly', EventSource: 'readonly', FormData: 'readonly', location: 'readonly' }
    }
  },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': neostandard.plugins['typescript-eslint'].plugin },
    rules: {
      '@typescript-eslint/no-redeclare': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error'
    }
  },
  {
    ignores: ['test/**'],
    rules: {
      'max-len': ['error', { code: 120, ignoreUrls: true, ignoreRegExpLiterals: true }],
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', 100],
      'max-params': ['error', 3]
    }
  },
  {
    // A title of a test, a query and an expected text stay in one piece, so that a search finds them.
    files: ['test/**'],
    rules: {
      'max-len': ['error', {
        code: 120, ignoreUrls: true, ignoreRegExpLiterals: true, ignoreStrings: true, ignoreTemplateLiterals: true
      }]
    }
  }
]
