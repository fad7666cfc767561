/**
 * The promise of a guard. If it rejects and its caller has not awaited it, the error goes to a function instead.
 * Otherwise a forgotten `await` would let one bad token end the process with an unhandled rejection.
 */
export class Verdict<User> extends Promise<User> {
  private isAwaited = false

  // What `then` returns is an ordinary promise.
  static override get [Symbol.species] (): PromiseConstructor {
    return Promise
  }

  static of<User> (outcome: Promise<User>, onUnawaited: (error: unknown) => void): Verdict<User> {
    const verdict = new Verdict<User>((resolve, reject) => {
      outcome.then(resolve, async error => {
        reject(error)
        // `await` and `return` reach `then` a few microtasks later.
        for (let turn = 0; turn < 3; turn++) await undefined
        if (!verdict.isAwaited) onUnawaited(error)
      })
    })
    Promise.prototype.then.call(verdict, undefined, () => {})
    return verdict
  }

  override then<Result = User, Failure = never> (
    onFulfilled?: ((user: User) => Result | PromiseLike<Result>) | null,
    onRejected?: ((error: unknown) => Failure | PromiseLike<Failure>) | null
  ): Promise<Result | Failure> {
    this.isAwaited = true
    return super.then(onFulfilled, onRejected)
  }
}
