/* SPDX-License-Identifier: MIT */
/* A disconnect, as a model: two threads of two confined processes, the session processes that serve them in turn, the
 * manager, and an administrator. Session processes and the manager may die at every step. The function that a step
 * stands for is named beside it. tests/model/run checks all that can happen, within bounds, and that each of the
 * mistakes that can be built in (MISTAKE_…) is found:
 *
 * - nothing that was decided by older grants is carried out after the administrator was told of the disconnect;
 * - a call is carried out at most once, and answered at most once;
 * - nobody waits for ever: not at the door, and not for the answer to a disconnect.
 *
 * Time is not in it: a deadline may come at once, or never. What somebody else's file system holds is a thread that is
 * killed and not gone. A session process that is killed makes no further step. Whether an earlier one has created or
 * deleted is taken as known (by-name.c compares what is there). Not in it: calls that wait in a session process,
 * mq_notify, who is alone, messages that cannot be sent, and more than one session. */

#ifndef CALLS
#define CALLS 2 /* of each thread */
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef SESSION_DEATHS
#define SESSION_DEATHS 2
#endif
#ifndef MANAGER_DEATHS
#define MANAGER_DEATHS 1
#endif
#define THREADS 2
#define NOBODY 2 /* no thread, no session process */

mtype = { OUT, WAITING, INSIDE, GONE };         /* where a thread is: at the door, in the kernel's call */
mtype = { FREE, ALIVE, KILLED, DEAD };          /* a session process; dead: not reaped yet */
mtype = { GRANTS, PROCESS, ACK, UNSTOPPED };    /* what the manager and a session process say */
mtype = { RECEIVED, ACTING, ACTED };            /* enum inflight_phase */

/* --- the kernel ---------------------------------------------------------------------------------------- */

mtype at[THREADS] = OUT;
byte id[THREADS];        /* of the notification: a call that is restarted gets another */
bool received[THREADS];  /* it was, and is not received again */
bool killed[THREADS];    /* a signal was sent, which proves nothing */
bool by_name[THREADS];   /* the call creates or deletes; otherwise it sends or receives */
byte executed[THREADS];  /* so many times, of this call */

/* --- what outlives a session process: struct inflight --------------------------------------------------- */

byte hand = NOBODY;      /* inflight.notification, with its id and phase */
byte hand_id;
mtype phase = RECEIVED;
byte done_of = NOBODY;   /* inflight.done, with its id */
byte done_id;
bool tainted, returning, in_force;
bool noted[THREADS];     /* inflight.threads and processes: was given a call back */

/* --- between the processes ------------------------------------------------------------------------------ */

bool policy = true;      /* on disk: the queue is granted */
bool promised;           /* the administrator was told that it is not, and has not connected it since */
bool asking;             /* the administrator waits for an answer */
bool wanted;
mtype process[2] = FREE;
byte served[2];          /* by which manager it was started */
byte claimed = NOBODY;   /* the session process that alone may write what outlives it */
byte manager;            /* the how manieth */
bool kept[THREADS];      /* it can kill the thread's process */
chan to[2] = [3] of { mtype, byte, bool };
chan from[2] = [8] of { mtype, byte };

#define valid(t, n) (at[t] == WAITING && id[t] == n)

inline execute(t)
{
	assert(!promised);          /* nothing that was decided by older grants */
	assert(at[t] == WAITING || at[t] == INSIDE);
	executed[t]++;
	assert(executed[t] == 1)    /* each call at most once */
}

inline answer(t)
{
	assert(at[t] == WAITING || at[t] == INSIDE);
	at[t] = OUT;                /* so it is answered once, and what follows is another call */
	executed[t] = 0;
	by_name[t] = false
}

inline reply(t, n)
{
	if
	:: valid(t, n) -> answer(t)
	:: else
	fi
}

/* --- an app ------------------------------------------------------------------------------------------------ */

/* Wherever no label begins with "end", nobody waits for ever. */
proctype App(byte t)
{
	byte calls = CALLS;

	do
	:: atomic {
		at[t] == OUT && !killed[t] && calls > 0 ->
			calls--;
			id[t]++;
			received[t] = false;
			if
#ifndef ONE_KIND
			:: by_name[t] = true
			:: by_name[t] = false
#else
			:: by_name[t] = (t == 1)
#endif
			fi;
			at[t] = WAITING
		};
		at[t] != WAITING
	:: atomic { at[t] == INSIDE -> execute(t); answer(t) }
	:: at[t] == WAITING -> at[t] != WAITING         /* brought back */
	:: atomic {
		killed[t] && at[t] != GONE ->
			at[t] = GONE;
			id[t] = 0;
			received[t] = false;
			by_name[t] = false;
			executed[t] = 0;
			noted[t] = false;       /* processes_open() and on_exit_of_kept() forget it */
			kept[t] = false;
			calls = 0
	}
	:: at[t] == GONE || (at[t] == OUT && calls == 0) ->
end:		killed[t] && at[t] != GONE
	od
}

/* --- a session process ------------------------------------------------------------------------------------ */

byte deaths = SESSION_DEATHS;

#define may_die if :: deaths > 0 -> deaths--; process[s] = KILLED; goto dead :: true fi

/* act() and answer() of call, from serve(); again: in hand of an earlier one */
inline serve(t, n, again)
{
	may_die;
	if
	:: !valid(t, n)
	:: valid(t, n) && !grants ->
		reply(t, n)                             /* denied */
	:: valid(t, n) && grants && by_name[t] ->       /* create(), act_on_unlink() */
		if
		:: again && phase != RECEIVED && executed[t] > 0 /* done_before() */
		:: else ->
			phase = ACTING;                 /* inflight_acting() */
			may_die;
			execute(t);
			may_die
		fi;
		phase = ACTED;                          /* inflight_acted() */
		may_die;
		reply(t, n)
	:: valid(t, n) && grants && !by_name[t] && !tainted -> /* act_on_data() */
		noted[t] = true;                        /* note_caller() */
		may_die;
#ifndef MISTAKE_NO_PIDFD
		if
		:: !told[t] ->
			from[s]!PROCESS(t);             /* tell_manager() */
			told[t] = true
		:: else
		fi;
#endif
		may_die;
		at[t] = INSIDE                          /* CONTINUE */
	:: valid(t, n) && grants && !by_name[t] && tainted ->  /* act_by_ourselves() */
#ifndef MISTAKE_LATE_NOTE
		done_id = n;
		done_of = t;                            /* note_trying() */
		may_die;
#endif
		execute(t);                             /* try_send() */
		may_die;
#ifdef MISTAKE_LATE_NOTE
		done_id = n;
		done_of = t;
		may_die;
#endif
		reply(t, n)                             /* note_done() says with what */
	fi;
	may_die
}

/* revoke_bring_back() of one thread; inside_the_door() leaves who waits there */
inline bring_back(t)
{
	if
#ifdef MISTAKE_STALE_ID
	:: hand == t
#else
	:: hand == t && valid(t, hand_id)
#endif
	:: else ->
		if
		:: noted[t] && at[t] == INSIDE ->
			if
			:: id[t]++; received[t] = false; at[t] = WAITING
			:: killed[t] = true; victim[t] = true
			fi
		:: else
		fi
	fi
}

#define stopped (!(victim[0] && at[0] != GONE) && !(victim[1] && at[1] != GONE))

inline receive(i)
{
	received[i] = true;
	hand_id = id[i];
	phase = RECEIVED;
	hand = i;
	t = i
}

/* What was its own is forgotten; what it has said can still be read. */
inline die()
{
	process[s] = DEAD;
	told[0] = false; told[1] = false; victim[0] = false; victim[1] = false;
	t = 0; generation = 0; grants = false; busy = false; owed = 0; first = false;
	do :: len(to[s]) > 0 -> to[s]?_,_,_ :: len(to[s]) == 0 -> break od
}

proctype Session(byte s)
{
	bool grants, first, busy;
	bool told[THREADS], victim[THREADS];
	byte generation, owed, t;

end:	do
	:: process[s] == ALIVE ->
		{
			d_step {
				told[0] = false; told[1] = false; victim[0] = false; victim[1] = false;
				busy = false; owed = 0; first = true
			};
end_first:		atomic {
				to[s]?GRANTS(generation, grants);
				/* inflight_claim() */
				if
				:: claimed == 1 - s && process[1 - s] == ALIVE -> process[1 - s] = KILLED
				:: else
				fi;
				claimed = s;
				may_die;
#ifndef MISTAKE_LATE_CLAIM
				/* check_manager() */
				if :: served[s] != manager -> process[s] = KILLED; goto dead :: else fi;
#endif
#ifndef MISTAKE_NOT_TOLD_AGAIN
				/* tell_manager_of_all() */
				if :: noted[0] && at[0] != GONE -> from[s]!PROCESS(0); told[0] = true :: else fi;
				may_die;
				if :: noted[1] && at[1] != GONE -> from[s]!PROCESS(1); told[1] = true :: else fi
#endif
			};
take_grants:		atomic {                        /* put_in_force() */
				may_die;
				if
				:: in_force && !grants -> tainted = true; may_die; returning = true; may_die
				:: else
				fi;
				in_force = grants;
				busy = false
			};
			if
			:: returning ->
				atomic { may_die; bring_back(0) };
				atomic { may_die; bring_back(1) };
				atomic {                /* victims_kill() */
					may_die;
					if
					:: stopped -> returning = false
					:: !stopped -> busy = true
					fi
				}
			:: else
			fi;
			if
			:: first ->                     /* resume_all() */
				atomic {
					may_die;
					first = false;
					if
					:: done_of != NOBODY -> /* settle_done() */
						reply(done_of, done_id); /* what was done, or EIO */
						may_die;
						if
						:: hand == done_of && hand_id == done_id -> hand = NOBODY
						:: else
						fi;
						may_die;
						done_of = NOBODY
					:: else
					fi;
					may_die;
					if
					:: hand != NOBODY -> t = hand; serve(t, hand_id, true)
					:: else
					fi;
					hand = NOBODY; hand_id = 0; phase = RECEIVED;
					may_die;
					done_of = NOBODY; done_id = 0; t = 0
				}
			:: else
			fi;
			atomic {
				may_die;
				if
				:: !busy -> owed = 0; from[s]!ACK(generation) /* acknowledge() */
				:: else -> owed = generation; from[s]!UNSTOPPED(generation) /* tell_unstopped() */
				fi
			};
end_loop:		do
			:: atomic {
				owed != 0 && stopped -> /* session_pay() */
					returning = false;
					may_die;
					from[s]!ACK(owed);
					owed = 0
				}
			:: to[s]?GRANTS(generation, grants) -> goto take_grants
			:: served[s] != manager -> break
			:: atomic { deaths > 0 -> deaths--; process[s] = KILLED }
			/* serve_next(): received and noted at once */
			:: atomic { at[0] == WAITING && !received[0] -> receive(0) };
				atomic {
					serve(t, hand_id, false);
					hand = NOBODY; hand_id = 0; phase = RECEIVED; /* inflight_end() */
					may_die;
					done_of = NOBODY; done_id = 0;
					t = 0
				}
			:: atomic { at[1] == WAITING && !received[1] -> receive(1) };
				atomic {
					serve(t, hand_id, false);
					hand = NOBODY; hand_id = 0; phase = RECEIVED;
					may_die;
					done_of = NOBODY; done_id = 0;
					t = 0
				}
			od
		} unless { process[s] != ALIVE };
dead:		atomic { die() }
	:: atomic { process[s] == KILLED -> die() }
	:: atomic {
		process[s] == DEAD && served[s] != manager ->
			do :: len(from[s]) > 0 -> from[s]?_,_ :: len(from[s]) == 0 -> break od;
			process[s] = FREE
	}
	od
}

/* --- the manager -------------------------------------------------------------------------------------------- */

inline answer_administrator(in_time)
{
	if
	:: asking ->
		if
		:: in_time && !policy -> promised = true
		:: else
		fi;
		asking = false;
		wanted = false;
		handled = false
	:: else
	fi
}

inline guard_ends()
{
	guarded = false; given_up = false; failures = 0;
	killing = false; killing_for = 0; victim[0] = false; victim[1] = false
}

/* in_force(): the grants of this generation and all before */
inline put_in_force(g)
{
	if
	:: current != NOBODY && g == sent ->
		if
		:: unsettled && !policy -> promised = true
		:: else
		fi;
		unsettled = false
	:: else
	fi;
	if
	:: open != 0 && open <= g ->
		open = 0;
		guard_ends();
		if
		:: handled -> answer_administrator(true)
		:: else
		fi
	:: else
	fi
}

/* unstopped() */
inline hinder()
{
	guard_ends();
	if
	:: handled -> answer_administrator(false)
	:: else
	fi
}

/* kill_processes() */
inline kill_all()
{
	killing = true;
	killing_for = generation;
	victim[0] = kept[0];
	victim[1] = kept[1];
	if :: kept[0] -> killed[0] = true :: else fi;
	if :: kept[1] -> killed[1] = true :: else fi
}

/* start_process(), session_process_attach() */
inline start(s)
{
	process[s] == FREE ->
		process[s] = ALIVE;
		served[s] = manager;
		current = s;
		generation++;
		sent = generation;
		to[s]!GRANTS(generation, granted)
}

/* session_process_hear() */
#ifdef MISTAKE_NOT_HEARD
#define heard true
#else
#define heard (current == NOBODY || empty(from[current]))
#endif

#define manager_may_die if :: managers > 0 -> goto crash :: true fi

proctype Manager()
{
	bool granted, unsettled, unknown, handled, guarded, given_up, killing;
	bool victim[THREADS];
	byte current, generation, sent, open, failures, killing_for, t, managers = MANAGER_DEATHS;

begin:	atomic {
		granted = policy; unsettled = (manager > 0); unknown = (manager > 0); handled = false; guarded = false;
		killing = false; kept[0] = false; kept[1] = false; current = NOBODY; open = 0;
		generation = 0; sent = 0; failures = 0; given_up = false
	};
end:		do
	:: atomic { current == NOBODY && process[0] == FREE -> start(0) }
	:: atomic { current == NOBODY && process[0] != FREE && process[1] == FREE -> start(1) }
	:: asking && !handled ->                        /* change_apply() */
		atomic {
			handled = true;
			if :: wanted -> promised = false :: else fi;
			policy = wanted;                /* connections_save() */
			manager_may_die;
			if
			:: granted == wanted ->
#ifndef MISTAKE_NOT_FOLLOWED
				if              /* follow_others() */
				:: unsettled && open == 0 -> open = (current != NOBODY -> sent : generation + 1)
				:: else
				fi;
#endif
				if
				:: open == 0 -> answer_administrator(true)
				:: else
				fi
			:: granted != wanted ->
				generation++;
				open = generation;
				if
				:: current != NOBODY ->
					sent = generation;
					if
					:: process[current] == ALIVE -> to[current]!GRANTS(generation, wanted)
					:: else
					fi
				:: else
				fi;
				if
				:: granted && !wanted && !guarded -> /* session_guard() */
					guarded = true;
					failures = 0;
					given_up = false
				:: else
				fi;
				granted = wanted;
#ifdef MISTAKE_NO_ACK
				answer_administrator(true)
#endif
			fi
		}
	:: atomic {
		current != NOBODY && nempty(from[current]) ->
			if
			:: from[current]?PROCESS(t) -> kept[t] = true /* session_keep_process() */
			:: from[current]?ACK(t) -> unknown = false; put_in_force(t) /* handle_ack() */
			:: from[current]?UNSTOPPED(t) -> hinder()
			fi
		}
	:: atomic {                                     /* reaped(), process_gone() */
		current != NOBODY && process[current] == DEAD && empty(from[current]) ->
			process[current] = FREE;
			current = NOBODY;
			if
			:: guarded ->                   /* session_guard_failed() */
				failures++;
				if
				:: failures > 1 || given_up -> kill_all()
				:: else
				fi
			:: else
			fi
		}
	:: atomic {                                     /* on_give_up(), once */
		guarded && !given_up && heard ->
			given_up = true;
			if
			:: current != NOBODY ->
				if :: process[current] == ALIVE -> process[current] = KILLED :: else fi
			:: else -> kill_all()
			fi
		}
	:: atomic {                                     /* … and again */
		guarded && given_up && !killing && heard && current != NOBODY && process[current] != ALIVE ->
			kill_all()
		}
	:: atomic {                                     /* on_killed() */
		killing && stopped ->
			if
#ifndef MISTAKE_NOT_KNOWN
			:: unknown -> killing = false /* the acknowledgement is waited for */
			:: !unknown ->
#else
			:: true ->
#endif
				t = killing_for;
				killing = false;
				put_in_force(t)
			fi
		}
	:: atomic { killing && !stopped -> hinder() }   /* the spawner's deadline */
	:: managers > 0 -> goto crash
	od;
crash:	atomic {
		managers--;
		manager++;
		/* Its connection is lost: the administrator is told nothing that could be believed. */
		asking = false;
		wanted = false;
		guard_ends();
		t = 0;
		goto begin
	}
}

/* --- around them ---------------------------------------------------------------------------------------------- */

proctype Administrator()
{
	byte changes = CHANGES;

	do
	:: changes > 0 ->
		atomic {
			changes--;
			if
			:: wanted = true
			:: wanted = false
			fi;
			asking = true
		};
		!asking
	:: changes == 0 -> break
	od
}

init
{
	atomic {
		run App(0);
#ifndef ONE_THREAD
		run App(1);
#endif
		run Session(0);
		run Session(1);
		run Manager();
		run Administrator()
	}
}
