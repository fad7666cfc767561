// The response of every peer, and its schema for frameworks that use one.

export const ITEM = { id: 1, name: 'Lamp', price: 12.5 }

export const ITEM_SCHEMA = {
  type: 'object',
  required: ['id', 'name', 'price'],
  properties: {
    id: { type: 'integer' },
    name: { type: 'string' },
    price: { type: 'number' }
  }
}
