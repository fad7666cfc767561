/*
 * Issuing access tokens against rules: two nodes, two clients with a session each of the same user, an administrator
 * who revokes, and with STEPS a server whose clock steps back. With HOST, the accounts are those of the host's app.
 *
 * A rule for a session kills all its access tokens. A rule for the user kills those that are dated before T. Here a
 * node may learn about a rule at any later time. follow.pml shows how it learns about all of them.
 */
#define LAST     4               /* The clock goes no further. */

/* The larger variants make do with one client, and it uses either node. */
#if defined(HOST) || defined(STEPS)
#define CLIENTS  1
#else
#define CLIENTS  2
#endif

/* ---- PostgreSQL ---- */
byte clock = 1;
byte shared = 0;                 /* How many hold the user's lock shared ... */
bool exclusive = false;          /* ... and whether somebody holds it alone. It is a lock and the user's row. */
bool ended[2];
byte lastUse[2];
byte latest = 0;                 /* The latest T of the user's rules. */

/* ---- The nodes ---- */
byte known[2];                   /* The latest T of the user's rules that each node knows. */

/* ---- What only the properties look at ---- */
bool stepped = false;            /* The clock has stepped back. */
byte alive[2];                   /* The date of the last token of each session that no rule has killed. */
bool underWay[2];                /* Each client: the account was read, and the node has not signed the token yet. */
byte kills[2];                   /* Rules committed since then kill the tokens dated before this time. */
bool isOld[2];                   /* The account was read before the administrator began. */
bool isKilled[2];                /* A rule for the session was committed since then. */

inline max (result, value) {
  if
  :: value > result -> result = value
  :: else -> skip
  fi
}

inline lockShared () {
#ifndef FAULT_NO_USER_LOCK
  atomic { !exclusive -> shared++ }
#else
  skip
#endif
}
inline unlockShared () {
#ifndef FAULT_NO_USER_LOCK
  shared--
#else
  skip
#endif
}
inline lockAlone () { atomic { !exclusive && shared == 0 -> exclusive = true } }

inline nothingUnderWay (client) {
  underWay[client] = false; kills[client] = 0; isOld[client] = false;
  isKilled[client] = false
}

/*
 * Each client has the session of its own number. It refreshes, or logs in if the session has ended. With HOST, the
 * node asks the host about the account before the statement, and dates the token then.
 */
proctype Client (byte me) {
  byte node = me, floor, date, before, rounds;

  do
  :: rounds < 2 - me ->                      /* Client 1 does it once. */
    rounds++;
    /* The rule that the node knows before it asks anyone else. */
#if CLIENTS == 1
    if
    :: node = 0
    :: node = 1
    fi;
#endif
    d_step {
      floor = known[node];
#ifdef HOST
      date = clock; underWay[me] = true
#endif
    }
#ifdef FAULT_DATE_READ_BEFORE_LOCK
    date = clock;
#endif
    if
    :: ended[me] ->
      /* A login. */
      lockAlone();
      d_step {
#ifndef HOST
        date = clock;
#endif
        max(date, floor);
        ended[me] = false; lastUse[me] = clock; max(lastUse[me], date);
        underWay[me] = true; before = latest;
        exclusive = false                    /* the commit */
      }
    :: else ->
      /* The one statement takes the user's row for share, and changes the session's row. See refresh.pml for that. */
      lockShared();
      if
      :: d_step { ended[me] -> unlockShared(); nothingUnderWay(me) }
        goto next
      :: d_step { !ended[me] ->
#if !defined(HOST) && !defined(FAULT_DATE_READ_BEFORE_LOCK)
          date = clock;
#endif
          max(date, floor);
          max(date, lastUse[me]);            /* The tokens of a session are dated in their order. */
#ifdef FAULT_LAST_USE_STEPS_BACK
          lastUse[me] = clock;
#else
          lastUse[me] = date; max(lastUse[me], clock);
#endif
          underWay[me] = true; before = latest;
          unlockShared()                     /* the commit */
        }
      fi
    fi;
#ifdef FAULT_FLOOR_READ_LATE
    d_step { floor = known[node]; max(date, floor) }
#endif
    d_step {
      /* The node signs the token. PROPERTY: no token issued before a rule outlives it. */
      assert(kills[me] == 0 || date < kills[me] || isKilled[me]);
#ifndef HOST
      /* PROPERTY: no token is dead from the start. If the clock stepped back, that holds where the rule is known. */
      assert(date >= before || stepped);
#endif
      if
      :: kills[me] == 0 && !isKilled[me] -> max(alive[me], date)
      :: else -> skip
      fi;
      nothingUnderWay(me)
    }
next:
    atomic { date = 0; before = 0; floor = 0; node = me }
  :: rounds == 2 - me -> break
  od
}

/* PROPERTY: no token issued before a rule outlives it. This runs at the commit of a rule for the user. */
inline checkIssued (session, time) {
  assert(alive[session] < time);
  alive[session] = 0;
  if
#ifdef HOST
  :: isOld[session] -> max(kills[session], time)
#else
  :: underWay[session] -> max(kills[session], time)
#endif
  :: else -> skip
  fi
}

inline end (session) { ended[session] = true; lastUse[session] = 0 }

/*
 * T is after the server's clock, and after the last use of each session, because the clock may have stepped back. The
 * commit only waits until the clock shows the next moment.
 */
inline chooseTime () {
  d_step {
    until = clock + 1;
    time = until;
    if
    :: !ended[0] -> max(time, lastUse[0] + 1)
    :: else -> skip
    fi;
    if
    :: !ended[1] -> max(time, lastUse[1] + 1)
    :: else -> skip
    fi
  }
}

/* Ends all access tokens of the user. The sessions go on, or end with them. */
inline revokeUser (endsSessions) {
#ifdef HOST
  d_step { isOld[0] = underWay[0]; isOld[1] = underWay[1] }      /* The host has changed the account before. */
#endif
#ifdef FAULT_T_READ_BEFORE_LOCK
  chooseTime();
  lockAlone();
#else
  lockAlone();
  chooseTime();
#endif
  if
#ifdef FAULT_COMMIT_BEFORE_T
  :: true ->
#else
  :: clock >= until ->
#endif
    d_step {
      checkIssued(0, time); checkIssued(1, time);
      if
      :: endsSessions -> end(0); end(1)
      :: else -> skip
      fi;
      max(latest, time);
      exclusive = false                      /* the commit */
    }
    d_step { max(known[0], time); time = 0; until = 0 }      /* The node's own index, before the acknowledgement. */
  :: clock == LAST -> d_step { exclusive = false; time = 0; until = 0 }     /* It gives up and changes nothing. */
  fi
}

/* Ends the session 0, and kills all its tokens. */
inline endSession () {
  lockShared();
  d_step {
    end(0); alive[0] = 0; isKilled[0] = underWay[0];
    unlockShared()                           /* the commit */
  }
}

proctype Administrator () {
  byte time, until, rounds;

  do
  :: rounds < 2 ->
    rounds++;
    if
    :: revokeUser(false)
    :: revokeUser(true)
    :: endSession()
    fi
  :: rounds == 2 -> break
  od
}

/* Node 1 learns about the rules of node 0. */
proctype Following () {
end_idle:
  do
  :: atomic { known[1] < latest -> known[1] = latest }
  od
}

proctype Time () {
end_idle:
  do
  :: clock < LAST -> clock++
#ifdef STEPS
  :: d_step { !stepped && clock > 2 -> stepped = true; clock = 1 }
#endif
  od
}

init {
  atomic {
    run Client(0);
#if CLIENTS == 2
    run Client(1);
#endif
    run Administrator(); run Following(); run Time()
  }
}
