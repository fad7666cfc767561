import { fastify } from 'fastify'
import type { FastifyInstance, FastifyPluginAsync, FastifyPluginCallback } from 'fastify'

/**
 * Registers a plugin in an instance of its own and returns that instance, for what the plugin decorates it with. The host may
 * have registered the same plugin with options of its own, before us or after us: neither must see the other's.
 */
export async function isolate<Options extends object> (plugin: FastifyPluginCallback<Options> | FastifyPluginAsync<Options>, options: Options): Promise<FastifyInstance> {
  const instance = fastify({ logger: false })
  await instance.register(plugin as FastifyPluginCallback<Options>, options as never)
  await instance.ready()
  return instance
}
