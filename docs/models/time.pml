/*
 * Time that steps, purging and the horizon: a server whose clock may be wrong, a node and a verifier that may start at
 * any time, a purge, the revoked token of a thief, and an honest session.
 *
 * The real time only grows. The clock shows it plus an error, and the error may leap. A tick is the minute between two
 * looks of the purge.
 */
#define TTL       2              /* How long an access token lives. */
#define RETENTION 1              /* How long a rule is kept after the last token that it kills has expired. */
#define HOUR      2              /* How long time must have been steady before the purge deletes. */
#define LEAP      8
#define START     10
#define LAST      (START + 7)

/* ---- The server ---- */
byte real = START;
byte clock = START;
byte leaps = 2;

/* ---- The thief's token, and the rule that revokes it ---- */
#define TOKEN_EXPIRES (START + TTL)
#define RULE_EXPIRES  (START + 1 + TTL)
bool rule = true;                /* The rule is in the database. */
byte horizon = 0;                /* What expired before it may be purged. Tokens that expire by then are dead. */

/* ---- An honest session. It expires later than any run ends. ---- */
#define SESSION_EXPIRES (LAST + 1)
bool session = true;

/* ---- What the purge notes in the database ---- */
byte lookedAt = START;
byte steadySince = START;

/* ---- Node 0, and the verifier, which starts from its feed. A second node would do the same as the first. ---- */
#define VERIFIER 1
bool isUp[2];
bool hasRule[2];
byte known[2];                   /* The horizon that it knows. */

/* ---- What only the properties look at ---- */
byte leaptAt = 0;                /* The real time of the last leap. */

/* Each minute the purge looks at the clock, notes it, and deletes if time has been steady for an hour. */
proctype Purge () {
  byte limit;

end_idle:
  do
  :: atomic { clock != lookedAt ->
      if
      :: clock < lookedAt || clock > lookedAt + 1 -> steadySince = clock
      :: else -> skip
      fi;
      lookedAt = clock;
#ifdef FAULT_LEAP_TRUSTED
      limit = clock - RETENTION;
#else
      limit = (clock >= steadySince + HOUR -> clock - RETENTION : 0);
#endif
      if
      :: SESSION_EXPIRES + TTL < limit ->
        /* PROPERTY: nothing alive is deleted, unless the clock was wrong for an hour. */
        assert(!session || real >= leaptAt + HOUR);
        session = false
#ifdef FAULT_HORIZON_FOR_RULES_ONLY
        ; goto done
#endif
      :: RULE_EXPIRES < limit -> rule = false
      :: else -> goto done
      fi;
#ifndef FAULT_HORIZON_IGNORED
      /* In the transaction that deletes. */
      if
      :: limit > horizon -> horizon = limit
      :: else -> skip
      fi
#endif
    }
done:
    atomic {
      limit = 0;
      /* PROPERTY: a session without a row has no living token, because the next rule would miss it. */
      assert(session || SESSION_EXPIRES + TTL <= horizon)
    }
  od
}

/* PROPERTY: no revoked token comes back, whatever the clock shows. */
#define check(at) assert(hasRule[at] || TOKEN_EXPIRES <= known[at])

/* A node or a verifier. It loads the rules and then the horizon, follows the horizon, and sweeps its index by it. */
proctype Knowing (byte me) {
end_idle:
  do
  :: !isUp[me] && (me == 0 || isUp[0]) ->
#ifdef FAULT_HORIZON_READ_FIRST
    known[me] = horizon;
    hasRule[me] = rule;
#else
    hasRule[me] = rule;
#ifdef FAULT_FEED_SENDS_KNOWN_HORIZON
    known[me] = (me == VERIFIER -> known[0] : horizon);
#else
    known[me] = horizon;
#endif
#endif
    d_step { isUp[me] = true; check(me) }
  :: d_step { isUp[me] && known[me] < horizon -> known[me] = horizon }
#ifdef FAULT_SWEPT_BY_CLOCK
  :: d_step { isUp[me] && hasRule[me] && RULE_EXPIRES + RETENTION < clock -> hasRule[me] = false; check(me) }
#else
  :: d_step { isUp[me] && hasRule[me] && RULE_EXPIRES < known[me] -> hasRule[me] = false; check(me) }
#endif
  :: d_step { isUp[me] -> isUp[me] = false; hasRule[me] = false; known[me] = 0 }     /* It stops. */
  od
}

proctype Time () {
end_idle:
  do
  :: d_step { real < LAST -> real++; clock++ }
  :: d_step { leaps > 0 && clock > LEAP + RETENTION -> leaps--; clock = clock - LEAP; leaptAt = real }
  :: d_step { leaps > 0 -> leaps--; clock = clock + LEAP; leaptAt = real }
  od
}

init {
  atomic { run Purge(); run Knowing(0); run Knowing(VERIFIER); run Time() }
}
