/*
 * Following the rules: two nodes, a verifier that follows the feed of node 0, and two writers of rules. A writer
 * repeats its request if the node crashes before the acknowledgement, even after the commit.
 *
 * It does not matter here what a rule kills: a session, a user's tokens or what a key has signed. All of them get their
 * number in the same way. A rule is a bit of a set. Times and bounds are left out by asking one question: when a node
 * says that it is complete as of a moment, does it know all rules that were acknowledged before that moment?
 *
 * Nodes and feed read the database independently. With FEED, Spin searches the feed and the verifier, and without it
 * the nodes.
 */
#define WRITERS  2
#define FREE     9

/* ---- PostgreSQL ---- */
byte changes = 0;                /* The row that counts changes. A writer holds its lock until the commit. */
byte changesLock = FREE;
byte number[WRITERS];            /* The number of each rule. 0: the rule does not exist. */
byte visible = 0;                /* The committed rules. */
#ifdef FAULT_NUMBER_BEFORE_COMMIT
byte sequence = 0;
#endif

/* ---- The nodes: what is in memory ---- */
byte index[2];
byte asked[2];                   /* The number that the node has last read. */
byte last[2];                    /* The number of the last rule that it has read. */
byte running[2];                 /* Counts the starts of a node. A crash ends what it was doing. */
byte crashes = 2;

/* ---- The feed of node 0 ---- */
mtype = { RULE, COMPLETE };
chan feed = [2] of { mtype, byte, byte };
byte cursor = 0;                 /* The number of the last rule that the verifier has received. */
byte verifier = 0;               /* The rules that the verifier knows. */

/* ---- What only the properties look at ---- */
byte acknowledged = 0;

#define bit(rule)      (1 << (rule))
#define lacks(set, of) (((of) & ~(set)) != 0)

/* Reads the committed rules with a number after `after` into a set. Raises `after` to the last one. */
inline readRules (set, after) {
  d_step {
    found = after;
    if
    :: (visible & bit(0)) && number[0] > after -> set = set | bit(0); found = number[0]
    :: else -> skip
    fi;
    if
    :: (visible & bit(1)) && number[1] > after ->
      set = set | bit(1);
      if
      :: number[1] > found -> found = number[1]
      :: else -> skip
      fi
    :: else -> skip
    fi;
    after = found; found = 0
  }
}

/* Writes one rule. The rule is the last statement before the commit, and its trigger gives it the number. */
proctype Writer (byte me) {
  byte node = me, start;

again:
  start = running[node];
  if
  :: number[me] == 0 ->
#ifdef FAULT_NUMBER_BEFORE_COMMIT
    d_step { sequence++; number[me] = sequence }
    d_step {
      visible = visible | bit(me);
      if
      :: number[me] > changes -> changes = number[me]
      :: else -> skip
      fi
    }
#else
    atomic { changesLock == FREE -> changesLock = me; number[me] = changes + 1 }
    d_step { changes = number[me]; visible = visible | bit(me); changesLock = FREE }
#endif
  :: else -> skip                            /* The first attempt was committed. There is nothing to write. */
  fi;
  if
  :: atomic { running[node] != start -> node = 1 - node; start = 0 }
    goto again                               /* The node has crashed, and the client repeats its request elsewhere. */
  :: d_step { running[node] == start -> index[node] = index[node] | bit(me) }      /* The node's own index. */
  fi;
  if
  :: atomic { running[node] != start -> node = 1 - node; start = 0 }
    goto again
  :: d_step { running[node] == start -> acknowledged = acknowledged | bit(me) }
  fi
}

/* A node asks for the number of changes, and reads the rules if it is new. Rarely it crashes, and starts empty. */
proctype Node (byte me) {
  byte before, answer, found;

end_idle:
  do
  :: d_step { crashes > 0 -> crashes--; running[me]++; index[me] = 0; asked[me] = 0; last[me] = 0 }
  :: atomic { acknowledged != 0 || changes > 0 -> before = acknowledged }      /* the moment when it asks */
    answer = changes;
    if
    :: answer != asked[me] -> readRules(index[me], last[me]); asked[me] = answer
    :: else -> skip
    fi;
    /* PROPERTY: no acknowledged revocation is forgotten by a node. */
    assert(!lacks(index[me], before));
    d_step { before = 0; answer = 0 }
  od
}

#define isNext(rule)   ((visible & bit(rule)) && number[rule] > sent)

/* Sends the rules after `sent` to the verifier, in the order of their numbers. */
inline sendRules () {
  do
  :: atomic { isNext(0) && (!isNext(1) || number[0] < number[1]) -> feed!RULE(0, number[0]); sent = number[0] }
  :: atomic { isNext(1) && (!isNext(0) || number[1] < number[0]) -> feed!RULE(1, number[1]); sent = number[1] }
  :: else -> break
  od
}

/* The feed reads the rules from the store, and then reports the moment as of which they are complete. */
proctype Feed () {
  byte before, sent, breaks = 2;

end_idle:
  do
  :: breaks > 0 ->
    /* The stream breaks, and all that was under way is lost. The verifier goes on where it was, or starts empty. */
    atomic {
      breaks--;
      do
      :: feed?_,_,_
      :: empty(feed) -> break
      od;
      if
      :: skip
      :: cursor = 0; verifier = 0
      fi;
      sent = cursor
    }
#ifdef FAULT_MOMENT_TAKEN_LATE
  :: visible != 0 ->
    sendRules();
    before = acknowledged;
    feed!COMPLETE(before, 0);
    before = 0
#else
  :: atomic { acknowledged != 0 -> before = acknowledged }
#ifdef FAULT_COMPLETE_SENT_FIRST
    feed!COMPLETE(before, 0);
    sendRules();
#else
    sendRules();
    feed!COMPLETE(before, 0);
#endif
    before = 0
#endif
  od
}

proctype Verifier () {
  byte what, value;

end_idle:
  do
  :: d_step { feed?RULE(what, value) -> verifier = verifier | bit(what); cursor = value; what = 0; value = 0 }
  :: atomic { feed?COMPLETE(what, value) ->
      /* PROPERTY: no acknowledged revocation is forgotten by a verifier. */
      assert(!lacks(verifier, what));
      what = 0 }
  od
}

init {
  atomic {
    run Writer(0); run Writer(1);
#ifdef FEED
    run Feed(); run Verifier()
#else
    run Node(0); run Node(1)
#endif
  }
}
