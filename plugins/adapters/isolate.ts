import { fastify } from 'fastify'
import type { FastifyInstance, FastifyPluginAsync, FastifyPluginCallback } from 'fastify'

/**
 * Registers a plugin in a separate instance and returns that instance with the plugin's decorators. The host may have
 * registered the same plugin with its own options, before us or after us, and neither must see the other's.
 */
export async function isolate<Options extends object> (
  plugin: FastifyPluginCallback<Options> | FastifyPluginAsync<Options>,
  options: Options
): Promise<FastifyInstance> {
  const instance = fastify({ logger: false })
  await instance.register(plugin as FastifyPluginCallback<Options>, options as never)
  await instance.ready()
  return instance
}
