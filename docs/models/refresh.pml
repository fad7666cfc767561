/*
 * Refreshing one session: two nodes, two tabs that share a cookie, an administrator, and with THIEF a thief.
 *
 * A refresh token is a number, the generation. The successor of a token is the next number, so the nodes compute it and
 * store only the session's current generation. README.md explains how to read and run the models.
 */
#define TABS     2
#define A_THIEF  2               /* The thief's number. The tabs are 0 and 1. */
#define LAST     6               /* No run reaches this generation. */
#define FREE     9               /* Nobody holds the lock, or the node has no request. */

/* ---- PostgreSQL: the session's row and its locks ---- */
byte generation = 1;
bool ended = false;
bool inGrace = false;            /* The last rotation, or the last late retry, happened less than 10 seconds ago. */
bool used = false;               /* An access token of the current generation was used. */
byte rowLock = FREE;             /* Every statement that changes the row takes it. */
byte sessionLock = FREE;         /* The advisory lock. Only full transactions take it. */

/* ---- The network: one request for each node, one answer for each sender ---- */
mtype = { NONE, GRANTED, REFUSED, LOST };
byte sender[2] = FREE;           /* Who waits for this node. */
byte sent[2];                    /* The token of the request. */
byte waitsFor[3] = FREE;         /* Which node a sender waits for. */
mtype answer[3] = NONE;
byte answered[3];                /* The refresh token in the answer. */

/* ---- The browser ---- */
byte cookie = 1;
bool isFresh = false;            /* The access token is new, so no tab refreshes. */
byte busy = 0;                   /* Refreshes of the tabs that are not finished, at the tabs or at the nodes. */

/* ---- What may still go wrong ---- */
#ifdef THIEF
byte crashes = 0;
byte delays = 0;
#else
byte crashes = 1;                /* How many requests may lose their answer. */
byte delays = 1;                 /* How many requests a tab may give up although the node still works on them. */
#endif

/* ---- What only the properties look at ---- */
bool exchanged[LAST + 1];        /* Tokens that got a successor. */
bool wasReused = false;          /* A token was used that is neither the current one nor a retry. */
bool endedByAdministrator = false;
bool thiefWasHere = false;

/* When the previous token is a retry. */
#ifdef FAULT_NO_GRACE
#define MAY_BE_RETRY !sawUse
#else
#ifdef FAULT_USE_IGNORED
#define MAY_BE_RETRY sawGrace
#else
#define MAY_BE_RETRY (sawGrace || !sawUse)
#endif
#endif

inline lock (it, holder) { atomic { it == FREE -> it = holder } }
inline unlock (it) { it = FREE }

/* Gives the session its next generation. */
inline rotate (token) {
  /* PROPERTY: one successor at a time. A token is exchanged once, and an ended session has no successor. */
  assert(!exchanged[token] && !ended && generation == token);
  /* PROPERTY: after a reuse nothing is issued. Neither the owner nor the thief can go on. */
  assert(!wasReused);
  exchanged[token] = true;
  generation = token + 1;
  inGrace = true; used = false
}

proctype Node (byte me) {
  byte who, token, seen;
  bool sawEnd, sawGrace, sawUse;
  mtype outcome;

end_idle:
  do
  :: atomic { sender[me] != FREE -> who = sender[me]; token = sent[me]; outcome = REFUSED }
    if
    :: goto statement                        /* the usual request */
    :: goto transaction                      /* a request with a scope parameter */
    :: atomic { crashes > 0 -> crashes--; goto crashed }           /* before the commit: nothing has happened */
    fi;

statement:
    /* One statement: update ... where generation = the token's and not ended. It reads the row after it locked it. */
#ifdef FAULT_NO_ROW_LOCK
    atomic { seen = generation; sawEnd = ended }
    if
    :: atomic { seen == token && !sawEnd -> rotate(token); outcome = GRANTED }
    :: else -> goto transaction
    fi;
#else
    lock(rowLock, me);
    if
    :: generation == token && !ended -> d_step { rotate(token); outcome = GRANTED; unlock(rowLock) }
    :: else -> unlock(rowLock); goto transaction
    fi;
#endif
    goto committed;

transaction:
    /* The full transaction. It reads the row, decides, and writes. */
    lock(sessionLock, me);
#ifndef FAULT_ROW_READ_WITHOUT_LOCK
    lock(rowLock, me);                       /* To decide again after a lost race comes to the same. */
#endif
    d_step { seen = generation; sawEnd = ended; sawGrace = inGrace; sawUse = used }
#ifdef FAULT_ROW_READ_WITHOUT_LOCK
    lock(rowLock, me);                       /* Only the statement that writes takes it. */
#endif
    if
    :: sawEnd -> skip
    :: !sawEnd && seen == token ->
      if
      :: d_step { generation == token && !ended -> rotate(token); outcome = GRANTED }
      :: else -> skip
      fi
    :: !sawEnd && seen == token + 1 && MAY_BE_RETRY ->
      /* A retry gets the same successor. PROPERTY: after a reuse nothing is issued. */
      assert(!wasReused);
#ifndef FAULT_LATE_RETRY_BEGINS_NO_GRACE
      inGrace = true;
#endif
      outcome = GRANTED
    :: else ->
      d_step {
        wasReused = true;
#ifndef FAULT_REUSE_NOT_DETECTED
        ended = true
#endif
      }
    fi;
    d_step { unlock(rowLock); unlock(sessionLock) }

committed:
    if
    :: true
    :: atomic { crashes > 0 -> crashes--; goto crashed }           /* between the commit and the answer */
    fi;
    d_step {
      if
      :: waitsFor[who] == me -> answer[who] = outcome; answered[who] = token + 1
      :: else -> skip                        /* The sender has given up. */
      fi
    }
    goto done;

crashed:
    atomic {
      if
      :: waitsFor[who] == me -> answer[who] = LOST
      :: else -> skip
      fi
    }
done:
    atomic {
      sender[me] = FREE;
      if
      :: who < TABS -> busy--
      :: else -> skip
      fi;
      who = 0; token = 0; seen = 0; sawEnd = false; sawGrace = false; sawUse = false;
      outcome = NONE
    }
  od
}

inline forget (me) { waitsFor[me] = FREE; answer[me] = NONE; answered[me] = 0 }

/* Sends a request to a node that is free. The nodes are alike, so the first one will do. */
inline send (me, token) {
  atomic {
    if
    :: sender[0] == FREE -> sender[0] = me; sent[0] = token; waitsFor[me] = 0
    :: sender[0] != FREE && sender[1] == FREE -> sender[1] = me; sent[1] = token; waitsFor[me] = 1
    fi;
    answer[me] = NONE;
    if
    :: me < TABS -> busy++
    :: else -> thiefWasHere = true
    fi
  }
}

/*
 * A tab refreshes when its access token is old. If the answer is lost, it repeats the same request, or it goes away and
 * comes back at any later time. Then it uses the new access token.
 */
proctype Tab (byte me) {
  byte token, refreshes;

  do
  :: refreshes < 2 ->
    refreshes++;
    if
#ifdef HASTY
    :: atomic { true -> token = cookie; busy++ }
#else
    :: atomic { !isFresh -> token = cookie; busy++ }
#endif
    :: break                                 /* The user closes the tab. */
    fi;
again:
    send(me, token);
    if
    :: answer[me] == GRANTED ->
      d_step {
        if
        :: answered[me] > cookie -> cookie = answered[me]
        :: else -> skip
        fi;
        isFresh = true; busy--; forget(me)
      }
      d_step {
        if
        :: cookie == generation -> used = true
        :: else -> skip
        fi
      }
    :: answer[me] == REFUSED ->
      /* PROPERTY: an honest client is never logged out. Only an administrator or the use of a stolen token ends it. */
      assert(endedByAdministrator || thiefWasHere);
      d_step { busy--; forget(me) }
      break
    :: answer[me] == LOST -> goto again
    :: d_step { answer[me] == LOST -> busy--; forget(me) }
    :: atomic { answer[me] == NONE && delays > 0 -> delays--; waitsFor[me] = FREE }
      goto again
    fi
  :: refreshes == 2 -> break
  od
}

/* The thief has a copy of the cookie, and goes on with the successors that it gets. */
proctype Thief () {
  byte token = cookie;
  byte refreshes = 0;

  do
  :: refreshes < 2 ->
    refreshes++;
    send(A_THIEF, token);
    if
    :: d_step { answer[A_THIEF] == GRANTED -> token = answered[A_THIEF]; forget(A_THIEF) }
    :: d_step { answer[A_THIEF] == LOST -> forget(A_THIEF) }
    :: d_step { answer[A_THIEF] == REFUSED -> forget(A_THIEF) }
      break
    fi
  :: refreshes == 2 -> break
  od
}

/* The administrator may end the session. */
proctype Administrator () {
  if
  :: skip
  :: lock(sessionLock, 7);
    lock(rowLock, 7);
    d_step { ended = true; endedByAdministrator = true; unlock(rowLock); unlock(sessionLock) }
  fi
}

/*
 * The grace ends at some time, but not while a refresh of a tab is under way, because no request waits longer than the
 * grace. Later the access token is old again.
 */
proctype Time () {
end_idle:
  do
  :: atomic { (inGrace || isFresh) && busy == 0 -> inGrace = false; isFresh = false }
  od
}

init {
  atomic {
    run Node(0); run Node(1); run Tab(0); run Tab(1); run Administrator(); run Time();
#ifdef THIEF
    run Thief()
#endif
  }
}
