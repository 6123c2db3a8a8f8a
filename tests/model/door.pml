/* SPDX-License-Identifier: MIT */
/* The protocol of a disconnect, as a model: two threads of two confined processes, the session processes that serve
 * them in turn, the manager, and an administrator; each of ours may die at every step. tests/model/run checks all
 * runs of it, and that each of the mistakes that it can be built with (MISTAKE_…) is found. README.md says which
 * function each step stands for; where one is named here, it is in the form "function()". */

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
mtype = { NOTHING, TRYING, DONE };              /* struct done_call */

/* --- the kernel ---------------------------------------------------------------------------------------- */

mtype at[THREADS] = OUT;
byte id[THREADS];        /* of the notification: a call that is restarted gets another */
bool received[THREADS];  /* it was, and is not received again */
bool killed[THREADS];    /* a signal was sent, which proves nothing */
bool blocks[THREADS];    /* its queue is empty: nothing happens in the call before a message comes */
bool by_name[THREADS];   /* the call creates or deletes; otherwise it sends or receives */
byte executed[THREADS];  /* so many times, of this call */
byte answered[THREADS];

/* --- what outlives a session process: struct inflight --------------------------------------------------- */

byte hand = NOBODY;      /* inflight.notification, with its id and phase */
byte hand_id;
mtype phase = RECEIVED;
byte done_of = NOBODY;   /* inflight.done, with its id and result */
byte done_id;
mtype outcome = NOTHING;
bool tainted, returning, in_force;
bool noted[THREADS];     /* inflight.threads and processes: was given a call back */

/* --- between the processes ------------------------------------------------------------------------------ */

bool policy = true;      /* on disk: the queue is granted */
bool promised;           /* the administrator was told that it is not, and has not connected it since */
bool asking;             /* the administrator waits for an answer */
bool wanted;
mtype process[2] = FREE;
byte served[2];          /* by which manager it was started */
byte manager;            /* the how manieth */
chan to[2] = [3] of { mtype, byte, bool };
chan from[2] = [8] of { mtype, byte };

#define valid(t, n) (at[t] == WAITING && id[t] == n)

inline execute(t)
{
	assert(!promised);          /* nothing that was decided by older grants */
	executed[t]++;
	assert(executed[t] == 1);   /* each call at most once */
}

inline reply(t, n)
{
	atomic {
		if
		:: valid(t, n) ->
			answered[t]++;
			assert(answered[t] == 1);
			at[t] = OUT
		:: else
		fi
	}
}

/* --- an app ----------------------------------------------------------------------------------------------- */

proctype App(byte t)
{
	byte calls = CALLS;

end:	do
	:: atomic {
		at[t] == OUT && !killed[t] && calls > 0 ->
			calls--;
			id[t]++;
			executed[t] = 0;
			answered[t] = 0;
			received[t] = false;
			if
			:: by_name[t] = true
			:: by_name[t] = false
			fi;
			at[t] = WAITING
		}
	:: atomic {
		at[t] == INSIDE && !blocks[t] ->
			execute(t);
			answered[t]++;
			assert(answered[t] == 1);
			at[t] = OUT
		}
	:: atomic { killed[t] && at[t] != GONE -> at[t] = GONE }
	od
}

/* Messages come, or do not. */
proctype Others()
{
	do
	:: atomic { at[0] == INSIDE && blocks[0] -> blocks[0] = false }
	:: atomic { at[1] == INSIDE && blocks[1] -> blocks[1] = false }
	:: break
	od
}

/* --- a session process ------------------------------------------------------------------------------------ */

/* act() and answer() of call, from serve(); again: in hand of an earlier one */
inline serve(t, n, again)
{
	if
	:: !valid(t, n)
	:: valid(t, n) && !grants ->
		reply(t, n)                             /* denied */
	:: valid(t, n) && grants && by_name[t] ->       /* create(), delete() */
		if
		:: again && phase != RECEIVED && executed[t] > 0 /* done_before() */
		:: else ->
			phase = ACTING;                 /* inflight_acting() */
			atomic { execute(t) }
		fi;
		phase = ACTED;                          /* inflight_acted() */
		reply(t, n)
	:: valid(t, n) && grants && !by_name[t] && !tainted -> /* act_on_data() */
		noted[t] = true;                        /* note_caller() */
#ifndef MISTAKE_NO_PIDFD
		if
		:: !told[t] ->
			from[s]!PROCESS(t);             /* tell_manager() */
			told[t] = true
		:: else
		fi;
#endif
		atomic {
			if
			:: valid(t, n) ->               /* CONTINUE */
				at[t] = INSIDE;
				if
				:: blocks[t] = true
				:: blocks[t] = false
				fi
			:: else
			fi
		}
	:: valid(t, n) && grants && !by_name[t] && tainted ->  /* act_by_ourselves() */
#ifndef MISTAKE_LATE_NOTE
		atomic { outcome = TRYING; done_id = n };
		done_of = t;                            /* note_trying() */
#endif
		atomic { execute(t) };                  /* try_send() */
#ifdef MISTAKE_LATE_NOTE
		atomic { outcome = TRYING; done_id = n };
		done_of = t;
#endif
		outcome = DONE;                            /* note_done() */
		reply(t, n)
	fi
}

/* revoke_bring_back() of one thread; inside_the_door() leaves who waits there */
inline bring_back(t)
{
	atomic {
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
				:: id[t]++; received[t] = false; blocks[t] = false; at[t] = WAITING
				:: killed[t] = true; victim[t] = true
				fi
			:: else
			fi
		fi
	}
}

#define stopped (!(victim[0] && at[0] != GONE) && !(victim[1] && at[1] != GONE))

/* The end of one that was killed is in no hurry: all that is its own is forgotten. */
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
				owed = 0; first = true
			};
end_first:		to[s]?GRANTS(generation, grants);
			/* inflight_claim() */
			atomic { if :: process[1 - s] == ALIVE -> process[1 - s] = KILLED :: else fi };
#ifndef MISTAKE_NOT_TOLD_AGAIN
			t = 0;                          /* tell_manager_of_all() */
			do
			:: t < THREADS ->
				if
				:: noted[t] && at[t] != GONE -> from[s]!PROCESS(t); told[t] = true
				:: else
				fi;
				t++
			:: else -> break
			od;
#endif
take_grants:		/* put_in_force() */
			if
			:: in_force && !grants -> tainted = true; returning = true
			:: else
			fi;
			in_force = grants;
			busy = false;
			if
			:: returning ->
				bring_back(0);
				bring_back(1);
				if                      /* victims_kill() */
				:: stopped
				:: !stopped -> busy = true
				fi;
				if
				:: !busy -> returning = false
				:: else
				fi
			:: else
			fi;
			if
			:: first ->                     /* resume_all() */
				first = false;
				if
				:: done_of != NOBODY -> /* settle_done() */
					reply(done_of, done_id); /* what was done, or EIO */
					if
					:: hand == done_of && hand_id == done_id -> hand = NOBODY
					:: else
					fi;
					done_of = NOBODY
				:: else
				fi;
				if
				:: hand != NOBODY -> t = hand; serve(t, hand_id, true)
				:: else
				fi;
				hand = NOBODY;
				done_of = NOBODY
			:: else
			fi;
			if
			:: !busy -> owed = 0; from[s]!ACK(generation)       /* acknowledge() */
			:: else -> owed = generation; from[s]!UNSTOPPED(generation) /* tell_unstopped() */
			fi;
end_loop:		do
			:: owed != 0 && stopped ->      /* session_pay() */
				returning = false;
				from[s]!ACK(owed);
				owed = 0
			:: to[s]?GRANTS(generation, grants) -> goto take_grants
			:: served[s] != manager -> break
			:: atomic {                     /* serve_next(): received and noted at once */
				at[0] == WAITING && !received[0] ->
					received[0] = true; hand_id = id[0]; phase = RECEIVED; hand = 0
				};
				t = 0;
				serve(t, hand_id, false);
				hand = NOBODY;          /* inflight_end() */
				done_of = NOBODY
			:: atomic {
				at[1] == WAITING && !received[1] ->
					received[1] = true; hand_id = id[1]; phase = RECEIVED; hand = 1
				};
				t = 1;
				serve(t, hand_id, false);
				hand = NOBODY;
				done_of = NOBODY
			od
		} unless { process[s] != ALIVE };
		process[s] = DEAD
	:: atomic { process[s] == KILLED -> process[s] = DEAD }
	:: atomic { process[s] == DEAD && served[s] != manager -> process[s] = FREE }
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
		handled = false
	:: else
	fi
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
		guarded = false;
		killing = false;
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
	guarded = false;
	killing = false;
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
		do :: len(to[s]) > 0 -> to[s]?_,_,_ :: len(to[s]) == 0 -> break od;
		do :: len(from[s]) > 0 -> from[s]?_,_ :: len(from[s]) == 0 -> break od;
		generation++;
		sent = generation;
		to[s]!GRANTS(generation, granted)
}

bool manager_dies;

/* session_process_hear() */
#ifdef MISTAKE_NOT_HEARD
#define heard true
#else
#define heard (current == NOBODY || empty(from[current]))
#endif

proctype Manager()
{
	bool granted, unsettled, handled, guarded, given_up, killing;
	bool kept[THREADS], victim[THREADS];
	byte current, generation, sent, open, failures, killing_for, t;

begin:	{
		d_step {
			granted = policy; unsettled = (manager > 0); handled = false; guarded = false;
			killing = false; kept[0] = false; kept[1] = false; current = NOBODY; open = 0;
			generation = 0; sent = 0; failures = 0; given_up = false
		};
end:		do
		:: atomic { current == NOBODY && process[0] == FREE -> start(0) }
		:: atomic { current == NOBODY && process[0] != FREE && process[1] == FREE -> start(1) }
		:: asking && !handled ->                        /* change_apply() */
			atomic {
				handled = true;
				if :: wanted -> promised = false :: else fi
			};
			policy = wanted;                        /* connections_save() */
			atomic {
				if
				:: granted == wanted && open == 0 -> answer_administrator(true)
				:: granted == wanted && open != 0 /* follow_others() */
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
				:: from[current]?ACK(t) -> put_in_force(t)    /* handle_ack() */
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
#ifndef MISTAKE_NOT_TOLD_AGAIN
				:: unsettled -> hinder()
				:: !unsettled ->
#else
				:: true ->
#endif
					t = killing_for;
					killing = false;
					put_in_force(t)
				fi
			}
		:: atomic { killing && !stopped -> hinder() }   /* the spawner's deadline */
		od
	} unless { manager_dies };
	atomic {
		manager_dies = false;
		manager++;
		/* Its connection is lost: the administrator is told nothing that could be believed. */
		asking = false
	};
	goto begin
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

proctype Death()
{
	byte sessions = SESSION_DEATHS, managers = MANAGER_DEATHS;

	do
	:: atomic { sessions > 0 && process[0] == ALIVE -> process[0] = KILLED; sessions-- }
	:: atomic { sessions > 0 && process[1] == ALIVE -> process[1] = KILLED; sessions-- }
	:: atomic { managers > 0 && !manager_dies -> manager_dies = true; managers-- }
	:: break
	od
}

/* When nothing more can happen: who is at the door was forgotten, and who asked has been told. */
proctype Rest()
{
	timeout ->
		assert(at[0] != WAITING && at[1] != WAITING);
		assert(!asking)
}

init
{
	atomic {
		run App(0);
		run App(1);
		run Others();
		run Session(0);
		run Session(1);
		run Manager();
		run Administrator();
		run Death();
		run Rest()
	}
}
