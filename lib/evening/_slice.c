/* Layer 1: a greenlet is a slice of its thread's C stack.
 *
 * A thread has one C stack, and its greenlets take turns on it.  To leave one
 * and go on with another:
 *
 *   state_save     note what CPython knows of the code that runs
 *   slice_out      copy to the heap what lies in the other one's way
 *   switch_stack   load the other one's stack pointer
 *   slice_in       copy its slice back
 *   state_restore  tell CPython what runs now
 *
 * Nothing here returns twice: a new greenlet begins in first_frame, which is
 * called where its starter's stack ends.
 *
 * The fields have their names from greenlet's own struct of 2015.
 */
#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#include <Python.h>
#include <structmember.h>

/* ---- The versions of CPython: where they differ, and nowhere else ------- */

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030F0000 \
    || defined(Py_GIL_DISABLED)
#  error "this engine is for CPython 3.11 to 3.14, and needs the GIL"
#endif

#if PY_VERSION_HEX >= 0x030E0000
#  include "internal/pycore_interpframe_structs.h"
#else
#  include "internal/pycore_frame.h"
#endif
typedef struct _PyInterpreterFrame Frame;

/* MOVED lists fields of the thread state that move with the stack: the type,
   our name, the place.  More of them, the same in all versions, come below. */
#if PY_VERSION_HEX < 0x030C0000
#  define MOVED(X) \
    X(_PyCFrame *, cframe, cframe) \
    X(Frame *, frame, cframe->current_frame) \
    X(int, trash, trash_delete_nesting)
#elif PY_VERSION_HEX < 0x030D0000
#  define MOVED(X) \
    X(_PyCFrame *, cframe, cframe) \
    X(Frame *, frame, cframe->current_frame) \
    X(int, trash, trash.delete_nesting) \
    X(int, c_remaining, c_recursion_remaining)
#elif PY_VERSION_HEX < 0x030E0000
#  define MOVED(X) \
    X(Frame *, frame, current_frame) \
    X(int, c_remaining, c_recursion_remaining)
#else
#  define MOVED(X) \
    X(Frame *, frame, current_frame) \
    X(void *, executor, current_executor)
#endif

/* BEGIN is for the first C function of a greenlet.  Until 3.12 the frames hang
   on a cframe, which lies in the C stack: each greenlet needs its own. */
#if PY_VERSION_HEX < 0x030D0000
#  define FRAME(ts) ((ts)->cframe->current_frame)
#  define BEGIN(ts) \
    _PyCFrame cframe = {.previous = &(ts)->root_cframe}; \
    (ts)->cframe = &cframe; \
    TRASH(ts) = 0
#  define Py_IsFinalizing _Py_IsFinalizing
#else
#  define FRAME(ts) ((ts)->current_frame)
#  define BEGIN(ts) FRAME(ts) = NULL
#endif

/* From 3.12 on, each call from C into Python puts a frame in the C stack. */
#if PY_VERSION_HEX >= 0x030E0000
#  define IN_C_STACK(frame) ((frame)->owner >= FRAME_OWNED_BY_INTERPRETER)
#elif PY_VERSION_HEX >= 0x030C0000
#  define IN_C_STACK(frame) ((frame)->owner == FRAME_OWNED_BY_CSTACK)
#endif

#if PY_VERSION_HEX >= 0x030C0000
#  define HAS_ENTRY_FRAMES 1
#  define TRASH(ts) ((ts)->trash.delete_nesting)
#  define PYTHON_LIMIT(ts) ((ts)->py_recursion_limit)
#  define PYTHON_REMAINING(ts) ((ts)->py_recursion_remaining)
#  define NOTE_TRACING(ts)
#else
#  define HAS_ENTRY_FRAMES 0
#  define IN_C_STACK(frame) 0
#  define TRASH(ts) ((ts)->trash_delete_nesting)
#  define PYTHON_LIMIT(ts) ((ts)->recursion_limit)
#  define PYTHON_REMAINING(ts) ((ts)->recursion_remaining)
/* In 3.11 each cframe notes whether somebody traces; the thread may have
   changed its mind since this one last ran. */
#  define NOTE_TRACING(ts) ((ts)->cframe->use_tracing = !(ts)->tracing && \
    ((ts)->c_tracefunc != NULL || (ts)->c_profilefunc != NULL) ? 255 : 0)

static PyObject *PyErr_GetRaisedException(void) {
    PyObject *type, *error, *tb;
    PyErr_Fetch(&type, &error, &tb);
    if (type == NULL) return NULL;
    PyErr_NormalizeException(&type, &error, &tb);
    if (tb != NULL) PyException_SetTraceback(error, tb);
    Py_DECREF(type);
    Py_XDECREF(tb);
    return error;
}

static void PyErr_SetRaisedException(PyObject *error) {
    if (error == NULL) return;
    PyErr_Restore(Py_NewRef(PyExceptionInstance_Class(error)), error,
                  PyException_GetTraceback(error));
}
#endif

/* ---- The struct --------------------------------------------------------- */

/* What CPython knows of the code that runs: it moves with the stack. */
#define MOVED_ALWAYS(X) \
    X(_PyErr_StackItem *, exc_info, exc_info)   /* errors being handled */ \
    X(_PyErr_StackItem, exc_state, exc_state)   /* the outermost of them */ \
    X(PyObject *, context, context)             /* contextvars */ \
    X(_PyStackChunk *, chunk, datastack_chunk)  /* where frames live, */ \
    X(PyObject **, chunk_top, datastack_top)    /* and what is free there */ \
    X(PyObject **, chunk_limit, datastack_limit)
#define DECLARE(type, name, place) type name;

typedef struct {
    MOVED(DECLARE)
    MOVED_ALWAYS(DECLARE)
    int recursion_depth;    /* how many Python calls it is in */
    Frame *top_frame;       /* the newest frame that is not in the C stack */
    Frame *hidden;          /* those that are: see hide_c_frames */
} PythonState;

typedef struct _greenlet {
    PyObject_HEAD
    char *stack_start;      /* the new, low end; NULL: not begun, or dead */
    char *stack_stop;       /* the old, high end; NULL: not begun */
    char *stack_copy;       /* a block of the heap for what had to give way */
    Py_ssize_t stack_saved; /* how many bytes that is, from stack_start on */
    struct _greenlet *stack_prev;   /* whose data lies above; borrowed */
    struct _greenlet *parent;       /* who goes on when it is dead */
    struct _greenlet *main;         /* of its thread; NULL: not begun */
    PyObject *run;                  /* what it calls */
    PythonState state;              /* while it waits */
    PyObject *dict, *weakreflist;
    int thread_alive;       /* from here on: only in a main greenlet */
    PyObject *doomed;       /* suspended ones that other threads let go */
    PyObject *tracer;       /* what settrace was given */
} Greenlet;

#define NEW(g) ((g)->stack_stop == NULL)
#define ACTIVE(g) ((g)->stack_start != NULL)
#define DEAD(g) (!NEW(g) && !ACTIVE(g))
#define MAIN(g) ((g)->main == (g))
#define LOST(g) ((g)->main != NULL && !(g)->main->thread_alive)
#define NEW_REF(g) ((Greenlet *)Py_XNewRef((PyObject *)(g)))

static PyTypeObject GreenletType;
static PyObject *GreenletError, *GreenletExit, *run_name;

/* Thread-local storage: each thread has its own. */
#define TLS static _Thread_local __attribute__((tls_model("initial-exec")))

TLS Greenlet *current;      /* who runs; owned, as the others */
TLS Greenlet *target;       /* where the switch under way leads */
TLS Greenlet *refused;      /* where it could not go for lack of memory */

/* What the switch carries.  No args: the error that is set. */
typedef struct {
    PyObject *args, *kwargs;
    PyObject *run;                  /* for a new one: what it shall call */
} Parcel;

TLS Parcel parcel;

static int refuse(PyObject *error, const char *why, ...) {
    va_list values;
    va_start(values, why);
    PyErr_FormatV(error, why, values);
    va_end(values);
    return -1;
}

/* ---- Save --------------------------------------------------------------- */

/* Where in a block a copy begins: as far from a cache line as the slice does
   from its own, for then memcpy is fastest. */
#define CACHE_LINE 64
#define COPY(block, start) \
    ((block) + ((uintptr_t)(start) - (uintptr_t)(block)) % CACHE_LINE)

/* Have in the heap what of g lies below stop; -1: there is no memory. */
static int slice_save(Greenlet *g, char *stop) {
    Py_ssize_t saved = g->stack_saved, size = stop - g->stack_start;
    char *block, *start = g->stack_start;
    if (size <= saved) return 0;
    block = PyMem_RawMalloc(size + CACHE_LINE);
    if (block == NULL) return -1;
    memcpy(COPY(block, start) + saved, start + saved, size - saved);
    if (saved) memcpy(COPY(block, start), COPY(g->stack_copy, start), saved);
    PyMem_RawFree(g->stack_copy);
    g->stack_copy = block;
    g->stack_saved = size;
    return 0;
}

static void slice_free(Greenlet *g) {
    PyMem_RawFree(g->stack_copy);
    g->stack_copy = NULL;
    g->stack_saved = 0;
}

/* Save all that lies below the target's end, from g on upwards. */
static int make_room(Greenlet *g) {
    while (g != target && g->stack_stop <= target->stack_stop) {
        if (slice_save(g, g->stack_stop) < 0) return -1;
        g = g->stack_prev;
    }
    if (g == target) return 0;
    if (slice_save(g, target->stack_stop) < 0) return -1;
    target->stack_prev = g;
    return 0;
}

/* On the old stack, which ends at sp: return where the new one ends. */
__attribute__((visibility("hidden"), used)) char *slice_out(char *sp) {
    Greenlet *g = current;
    if (ACTIVE(g)) g->stack_start = sp;
    else {                          /* the dead leave nothing */
        sp = NEW(target) ? g->stack_stop : sp;
        g = g->stack_prev;
    }
    if (NEW(target)) {              /* it begins where we end: no copying */
        target->stack_start = target->stack_stop = sp;
        target->stack_prev = g;
    } else if (make_room(g) < 0) {  /* we stay, and slice_in fills us anew */
        refused = target;
        target = current;
        return sp;
    }
    return target->stack_start;
}

/* ---- Restore ------------------------------------------------------------ */

/* Below the end of the new stack: fill it.  Return whether it is to begin. */
__attribute__((visibility("hidden"), used)) int slice_in(void) {
    char *start = target->stack_start;
    if (target->stack_saved > 0) {
        memcpy(start, COPY(target->stack_copy, start), target->stack_saved);
        slice_free(target);
    }
    return start == target->stack_stop;
}

/* ---- The switch --------------------------------------------------------- */

/* It returns when somebody switches back; a new one begins in first_frame. */
__attribute__((visibility("hidden"))) void switch_stack(void);
__attribute__((visibility("hidden"), noreturn, used)) void first_frame(void);

#ifdef __APPLE__
#  define C(name) "_" name
#  define FUNCTION(name) \
    ".text\n.p2align 4\n.globl _" name "\n.private_extern _" name "\n" \
    "_" name ":\n"
#  define END(name)
#else
#  define C(name) name
#  define FUNCTION(name) \
    ".text\n.p2align 4\n.globl " name "\n.hidden " name "\n" \
    ".type " name ",%function\n" name ":\n"
#  define END(name) ".size " name ", .-" name "\n"
#endif

/* What a called function must leave as it was goes to the stack, and with the
   stack to the heap: some registers, and how floating point rounds. */
#if defined(__x86_64__)
__asm__(
    FUNCTION("switch_stack")
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n"
    "  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  subq $8, %rsp\n  stmxcsr (%rsp)\n  fnstcw 4(%rsp)\n"
    "  movq %rsp, %rdi\n  call " C("slice_out") "\n"
    "  movq %rax, %rsp\n"           /* from here on it is the other's stack */
    "  call " C("slice_in") "\n"
    "  testl %eax, %eax\n  jne 1f\n"
    "  ldmxcsr (%rsp)\n  fldcw 4(%rsp)\n  addq $8, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n"
    "  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"   /* to its caller */
    "1: call " C("first_frame") "\n  ud2\n" END("switch_stack"));
#elif defined(__aarch64__)
__asm__(
    FUNCTION("switch_stack")
    "  stp x29, x30, [sp, #-176]!\n  stp x19, x20, [sp, #16]\n"
    "  stp x21, x22, [sp, #32]\n  stp x23, x24, [sp, #48]\n"
    "  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mrs x1, fpcr\n  str x1, [sp, #160]\n"
    "  mov x0, sp\n  bl " C("slice_out") "\n"
    "  mov sp, x0\n"                /* from here on it is the other's stack */
    "  bl " C("slice_in") "\n  cbnz w0, 1f\n"
    "  ldr x1, [sp, #160]\n  msr fpcr, x1\n"
    "  ldp x19, x20, [sp, #16]\n  ldp x21, x22, [sp, #32]\n"
    "  ldp x23, x24, [sp, #48]\n  ldp x25, x26, [sp, #64]\n"
    "  ldp x27, x28, [sp, #80]\n  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n  ldp x29, x30, [sp], #176\n  ret\n"
    "1: bl " C("first_frame") "\n  brk #1\n" END("switch_stack"));
#else
#  error "this engine has a switch_stack for x86-64 and aarch64 only"
#endif

/* ---- The thread state --------------------------------------------------- */

/* The newest frame, from this one on, that is not in the C stack. */
static Frame *python_frame(Frame *frame) {
    while (frame != NULL && IN_C_STACK(frame)) frame = frame->previous;
    return frame;
}

/* While we wait, our part of the C stack is somebody else's, and who follows
   f_back must not go there: lead the way past the entry frames.  To find back,
   an entry frame notes whose way led to it, and the next hidden one, in two
   fields that it has no use for.  So the notes travel with the slice. */
static void hide_c_frames(PythonState *s) {
    s->top_frame = python_frame(s->frame);
    s->hidden = NULL;
    if (!HAS_ENTRY_FRAMES) return;
    for (Frame *frame = s->top_frame; frame != NULL; frame = frame->previous) {
        Frame *entry = frame->previous;
        if (entry == NULL || !IN_C_STACK(entry)) continue;
        entry->f_globals = (PyObject *)frame;
        entry->f_builtins = (PyObject *)s->hidden;
        s->hidden = entry;
        frame->previous = python_frame(entry);
    }
}

static void show_c_frames(PythonState *s) {
    for (Frame *e = s->hidden; e != NULL; e = (Frame *)e->f_builtins)
        ((Frame *)e->f_globals)->previous = e;
    s->top_frame = s->hidden = NULL;
}

#define SAVE(type, name, place) s->name = ts->place;
#define RESTORE(type, name, place) ts->place = s->name;

static void state_save(PythonState *s, PyThreadState *ts) {
    MOVED(SAVE)
    MOVED_ALWAYS(SAVE)
    s->recursion_depth = PYTHON_LIMIT(ts) - PYTHON_REMAINING(ts);
    hide_c_frames(s);
}

static void state_restore(PythonState *s, PyThreadState *ts) {
    show_c_frames(s);
    MOVED(RESTORE)
    MOVED_ALWAYS(RESTORE)
    PYTHON_REMAINING(ts) = PYTHON_LIMIT(ts) - s->recursion_depth;
    ts->context_ver++;              /* or contextvars would trust its cache */
    NOTE_TRACING(ts);
    s->context = s->exc_state.exc_value = NULL;     /* the thread owns them */
    s->chunk = NULL;
    s->exc_info = NULL;             /* says that it runs */
}

/* ---- Birth and death ---------------------------------------------------- */

/* CPython would map 16 KiB for the frames of each greenlet, and unmap them at
   its end: most of what a short life costs.  But it never frees a thread's
   first chunk, so the first one may be ours: small, from a list of spares. */
#define ROOT_SIZE 2048
#define MOST_SPARES 64

static _PyStackChunk *spares;
static int spares_count;

static _PyStackChunk *root_chunk(void) {
    _PyStackChunk *chunk = spares;
    if (chunk != NULL) {
        spares = chunk->previous;
        spares_count--;
    } else if ((chunk = PyMem_RawMalloc(ROOT_SIZE)) == NULL)
        return (_PyStackChunk *)PyErr_NoMemory();
    *chunk = (_PyStackChunk){.size = ROOT_SIZE};
    return chunk;
}

/* The oldest chunk is ours, the others are CPython's. */
static void chunks_free(PythonState *s) {
    _PyStackChunk *chunk = s->chunk, *previous;
    PyObjectArenaAllocator arena;
    if (chunk == NULL) return;
    s->chunk = NULL;
    PyObject_GetArenaAllocator(&arena);
    for (; (previous = chunk->previous) != NULL; chunk = previous)
        arena.free(arena.ctx, chunk, chunk->size);
    if (spares_count < MOST_SPARES) {
        chunk->previous = spares;
        spares = chunk;
        spares_count++;
    } else
        PyMem_RawFree(chunk);
}

/* No frames, no error, and our own memory: CPython tells a thread's first
   chunk by its first slot, which it leaves empty. */
static void state_begin(PythonState *s, PyThreadState *ts) {
    ts->exc_info = &ts->exc_state;
    ts->exc_state = (_PyErr_StackItem){0};
    ts->context = s->context;
    ts->context_ver++;
    ts->datastack_chunk = s->chunk;
    ts->datastack_top = (PyObject **)&s->chunk->data[1];
    ts->datastack_limit = (PyObject **)((char *)s->chunk + ROOT_SIZE);
    NOTE_TRACING(ts);
    s->context = NULL;
    s->chunk = NULL;
}

static Greenlet *get_current(void);

/* Tell the tracer, if there is one.  If it fails it is removed, and its error
   arrives in the place of what the parcel has. */
static void call_tracer(Greenlet *origin, Parcel *p) {
    PyThreadState *ts = PyThreadState_Get();
    PyObject *error, *result, *tracer = Py_XNewRef(current->main->tracer);
    if (tracer == NULL) return;
    error = PyErr_GetRaisedException();
    PyThreadState_EnterTracing(ts);
    result = PyObject_CallFunction(tracer, "s(OO)", p->args != NULL ? "switch"
                                   : "throw", origin, current);
    PyThreadState_LeaveTracing(ts);
    Py_DECREF(tracer);
    if (result != NULL)
        PyErr_SetRaisedException(error);
    else {
        Py_CLEAR(current->main->tracer);
        Py_CLEAR(p->args);
        Py_XDECREF(error);
    }
    Py_XDECREF(result);
}

/* At the end of each switch: become the current one, and take the parcel.
   Where an error is set, it has no args. */
static Parcel arrive(void) {
    Greenlet *origin = current;
    Parcel p = parcel;
    current = target;
    target = NULL;
    if (refused != NULL) {          /* we never left */
        Py_CLEAR(refused);
        Py_CLEAR(p.args);
        PyErr_NoMemory();
        return p;
    }
    if (DEAD(origin)) chunks_free(&origin->state);
    call_tracer(origin, &p);
    Py_DECREF(origin);              /* may be the last: may run anything */
    return p;
}

/* What switch(*args, **kwargs) returns over there, or NULL for an error.
   Steals all. */
static PyObject *as_result(Parcel p) {
    Py_ssize_t size = p.args != NULL ? PyTuple_GET_SIZE(p.args) : -1;
    PyObject *result = Py_XNewRef(p.args);
    if (size >= 0 && p.kwargs != NULL && PyDict_GET_SIZE(p.kwargs) > 0)
        Py_SETREF(result, size > 0 ? PyTuple_Pack(2, p.args, p.kwargs)
                                   : Py_NewRef(p.kwargs));
    else if (size == 1)
        Py_SETREF(result, Py_NewRef(PyTuple_GET_ITEM(p.args, 0)));
    Py_XDECREF(p.args);
    Py_XDECREF(p.kwargs);
    Py_XDECREF(p.run);
    return result;
}

/* Leave for another one, which is alive.  Steals all. */
static PyObject *go(Greenlet *to, Parcel p) {
    PyThreadState *ts = PyThreadState_Get();
    Greenlet *me = current;
    if (NEW(to)) to->main = NEW_REF(me->main);
    target = to;
    parcel = p;
    state_save(&me->state, ts);
    switch_stack();
    state_restore(&me->state, ts);  /* somebody came back to us */
    return as_result(arrive());
}

/* Refuse a greenlet that may not run here. */
static int check_thread(Greenlet *g, Greenlet *me) {
    while (g != NULL && g->main == NULL) g = g->parent;     /* not begun */
    if (g == NULL) return refuse(GreenletError, "the parent was collected");
    if (g->main == me->main) return 0;
    if (LOST(g))
        return refuse(GreenletError, "cannot switch to a different thread "
                      "(which happens to have exited)");
    return refuse(GreenletError, "Cannot switch to a different thread\n"
                  "\tCurrent: %R\n\tExpected: %R", me->main, g->main);
}

/* Fetch what a new greenlet needs to begin.  An error that is set travels on,
   unless this brings another. */
static PyObject *get_ready(Greenlet *g) {
    PyObject *error = PyErr_GetRaisedException(), *run = NULL;
    if (g->state.chunk == NULL) g->state.chunk = root_chunk();
    if (g->state.chunk != NULL)
        run = PyObject_GetAttr((PyObject *)g, run_name);
    if (run == NULL) Py_XSETREF(error, PyErr_GetRaisedException());
    PyErr_SetRaisedException(error);
    return run;
}

/* Return g or its nearest ancestor that is not dead, a new reference, and for
   a new one put what it shall run into the parcel.  To fetch that may run
   anything, and even start the greenlet: so look again.  If it fails and me
   ends, that is what the next ancestor gets. */
static Greenlet *find_alive(Greenlet *g, Greenlet *me, Parcel *p, int ends) {
    Py_INCREF(g);
    while (check_thread(g, me) == 0) {
        if (DEAD(g)) {
            Py_CLEAR(p->run);
            Py_SETREF(g, NEW_REF(g->parent));
        } else if (!NEW(g) || p->run != NULL)
            return g;
        else if ((p->run = get_ready(g)) == NULL) {
            if (!ends) break;
            Py_CLEAR(p->args);
            Py_SETREF(g, NEW_REF(g->parent));
        }
    }
    Py_CLEAR(p->run);
    Py_XDECREF(g);
    return NULL;
}

/* Switch; without args, throw the error that is set.  Steals both. */
static PyObject *switch_to(Greenlet *to, PyObject *args, PyObject *kwargs) {
    Greenlet *me = get_current();
    Parcel p = {args, kwargs, NULL};
    to = me != NULL ? find_alive(to, me, &p, 0) : NULL;
    if (to != NULL && to != me) return go(to, p);
    if (to == NULL) Py_CLEAR(p.args);
    else call_tracer(me, &p);
    Py_XDECREF(to);
    return as_result(p);
}

/* GreenletExit is a result; any other error stays set. */
static PyObject *exit_value(void) {
    return PyErr_ExceptionMatches(GreenletExit)
        ? PyErr_GetRaisedException() : NULL;
}

/* Call what it shall run; return its result, or NULL with an error set. */
static PyObject *call_run(Greenlet *me) {
    Parcel p = arrive();
    PyObject *result = NULL, *error;
    Py_CLEAR(me->run);              /* only now: it may run anything */
    if (p.args != NULL) result = PyObject_Call(p.run, p.args, p.kwargs);
    Py_XDECREF(p.args);
    Py_XDECREF(p.kwargs);
    if (result == NULL) result = exit_value();
    error = PyErr_GetRaisedException();
    Py_DECREF(p.run);
    PyErr_SetRaisedException(error);
    return result;
}

/* The oldest C function of every greenlet but the main ones.  The result, or
   the error, goes to the nearest ancestor that can take it.  Where there is
   no memory to return to any, the error goes to the neighbour on the stack:
   that takes no copying. */
void first_frame(void) {
    PyThreadState *ts = PyThreadState_Get();
    Greenlet *me = target, *heir;
    Parcel p = {NULL, NULL, NULL};
    PyObject *result;
    BEGIN(ts);
    state_begin(&me->state, ts);
    result = call_run(me);
    p.args = result != NULL ? PyTuple_Pack(1, result) : NULL;
    Py_XDECREF(result);
    heir = find_alive(me->parent, me, &p, 1);
    me->stack_start = NULL;         /* dead */
    if (heir != NULL) go(heir, p);  /* back only if there was no memory */
    go(NEW_REF(me->stack_prev), (Parcel){NULL, NULL, NULL});
    Py_UNREACHABLE();
}

static int set_parent(Greenlet *g, PyObject *parent, void *unused);

/* Nobody can switch to g any more: let it end, and come back here.  It gets
   its parent back, unless it has become that one's ancestor by then. */
static void kill(Greenlet *g) {
    Greenlet *parent = g->parent;
    PyObject *result;
    g->parent = NEW_REF(current);
    PyErr_SetString(GreenletExit, "nobody refers to this greenlet any more");
    result = switch_to(g, NULL, NULL);
    if (result == NULL) PyErr_WriteUnraisable((PyObject *)g);
    Py_XDECREF(result);
    if (set_parent(g, (PyObject *)parent, NULL) < 0) PyErr_Clear();
    Py_XDECREF(parent);
}

/* ---- Threads ------------------------------------------------------------ */

/* The thread's state is cleared: what is suspended there never runs again.
   Those that others let go still get their end. */
static void thread_ended(PyObject *capsule) {
    Greenlet *main = PyCapsule_GetPointer(capsule, NULL);
    if (current == main && !Py_IsFinalizing()) get_current();
    Py_CLEAR(main->tracer);         /* may run anything, so before the end */
    main->thread_alive = 0;
    main->stack_start = NULL;
    if (current != NULL && current->main == main) Py_CLEAR(current);
    Py_CLEAR(main->doomed);
    Py_DECREF(main);
}

/* The thread's state owns its main greenlet, by a capsule that tells us. */
static Greenlet *new_main(void) {
    PyObject *dict = PyThreadState_GetDict(), *capsule = NULL;
    Greenlet *main = (Greenlet *)(dict != NULL
        ? PyType_GenericAlloc(&GreenletType, 0) : PyErr_NoMemory());
    if (main != NULL && current == NULL)
        capsule = PyCapsule_New(main, NULL, thread_ended);
    if (capsule == NULL) {          /* no memory; or its search made one */
        Py_XDECREF(main);
        return current;
    }
    main->stack_start = (char *)1;  /* where it ends is seen when it leaves */
    main->stack_stop = (char *)-1;  /* all the rest of the stack is its own */
    main->main = main;              /* borrowed, here only */
    main->thread_alive = 1;
    current = NEW_REF(main);
    if (PyObject_SetItem(dict, (PyObject *)&GreenletType, capsule) < 0)
        main = NULL;
    Py_DECREF(capsule);
    return main;
}

/* Only its own thread can end a greenlet: leave it there. */
static void doom(Greenlet *g) {
    PyObject **doomed = &g->main->doomed;
    if (*doomed == NULL) *doomed = PyList_New(0);
    if (*doomed == NULL || PyList_Append(*doomed, (PyObject *)g) < 0)
        PyErr_WriteUnraisable((PyObject *)g);
}

static void kill_doomed(void) {
    PyObject *doomed = current->main->doomed, *error;
    current->main->doomed = NULL;
    error = PyErr_GetRaisedException();     /* may run anything */
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(doomed); i++) {
        Greenlet *g = (Greenlet *)PyList_GET_ITEM(doomed, i);
        if (ACTIVE(g)) kill(g);
    }
    Py_DECREF(doomed);
    PyErr_SetRaisedException(error);
}

static Greenlet *get_current(void) {
    if (current == NULL) return new_main();
    if (current->main->doomed != NULL) kill_doomed();
    return current;
}

/* ---- The Python type ---------------------------------------------------- */

#define UNUSED void *Py_UNUSED(unused)

static PyObject *greenlet_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                              PyObject *Py_UNUSED(kwargs)) {
    PyObject *g;
    if (PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT))
        return PyErr_Format(PyExc_TypeError, "%s is abstract", type->tp_name);
    g = get_current() != NULL ? type->tp_alloc(type, 0) : NULL;
    if (g != NULL) ((Greenlet *)g)->parent = NEW_REF(current);
    return g;
}

static PyObject *get_run(Greenlet *g, UNUSED) {
    if (NEW(g) && g->run != NULL) return Py_NewRef(g->run);
    return PyErr_Format(PyExc_AttributeError, "run");
}

static int set_run(Greenlet *g, PyObject *run, UNUSED) {
    if (!NEW(g) || (run == NULL && g->run == NULL))
        return refuse(PyExc_AttributeError, NEW(g) ? "run" :
                      "run cannot be set: the greenlet has begun");
    Py_XSETREF(g->run, Py_XNewRef(run));
    return 0;
}

static PyObject *get_parent(Greenlet *g, UNUSED) {
    return Py_NewRef(g->parent != NULL ? (PyObject *)g->parent : Py_None);
}

static int set_parent(Greenlet *g, PyObject *parent, UNUSED) {
    Greenlet *main = NULL;
    if (parent == NULL)
        return refuse(PyExc_AttributeError, "can't delete attribute");
    if (!PyObject_TypeCheck(parent, &GreenletType))
        return refuse(PyExc_TypeError, "GreenletChecker: Expected any type of "
                      "greenlet, not %s", Py_TYPE(parent)->tp_name);
    if (MAIN(g))
        return refuse(PyExc_AttributeError,
                      "cannot set the parent of a main greenlet");
    for (Greenlet *p = (Greenlet *)parent; p != NULL; p = p->parent) {
        if (p == g) return refuse(PyExc_ValueError, "cyclic parent chain");
        main = p->main;
    }
    if (main == NULL || (g->main != NULL && g->main != main))
        return refuse(PyExc_ValueError, main == NULL ? "parent was garbage "
                      "collected" : "parent cannot be on a different thread");
    Py_XSETREF(g->parent, NEW_REF(parent));
    return 0;
}

static PyObject *get_dead(Greenlet *g, UNUSED) {
    return PyBool_FromLong(DEAD(g) || LOST(g));
}

static int greenlet_bool(Greenlet *g) { return ACTIVE(g) && !LOST(g); }

/* CPython makes the frame object: let it find the frame that waits.  To find
   memory for the object it may collect garbage, which may run anything. */
static PyObject *get_gr_frame(Greenlet *g, UNUSED) {
    PyThreadState *ts = PyThreadState_Get();
    Frame *mine = FRAME(ts);
    PyObject *frame;
    int collects;
    if (g->state.top_frame == NULL) Py_RETURN_NONE;     /* it doesn't wait */
    collects = PyGC_Disable();
    FRAME(ts) = g->state.top_frame;
    frame = (PyObject *)PyThreadState_GetFrame(ts);
    FRAME(ts) = mine;
    if (collects) PyGC_Enable();
    return frame != NULL ? frame : PyErr_NoMemory();
}

/* Where g's context is now, or NULL: in the state of another thread. */
static PyObject **find_context(Greenlet *g) {
    if (g == current) return &PyThreadState_Get()->context;
    if (!ACTIVE(g) || g->state.exc_info != NULL || LOST(g))
        return &g->state.context;
    refuse(PyExc_ValueError, "the context of a greenlet that is running in a "
           "different thread is out of reach");
    return NULL;
}

static PyObject *get_gr_context(Greenlet *g, UNUSED) {
    PyObject **place = find_context(g);
    return place == NULL ? NULL : Py_NewRef(*place ? *place : Py_None);
}

static int set_gr_context(Greenlet *g, PyObject *context, UNUSED) {
    PyObject **place = find_context(g);
    if (place == NULL) return -1;
    if (context == NULL)
        return refuse(PyExc_AttributeError, "can't delete context attribute");
    if (context != Py_None && !PyContext_CheckExact(context))
        return refuse(PyExc_TypeError, "greenlet context must be a "
                      "contextvars.Context or None");
    PyThreadState_Get()->context_ver++;
    Py_XSETREF(*place, context != Py_None ? Py_NewRef(context) : NULL);
    return 0;
}

static int greenlet_init(Greenlet *g, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"run", "parent", NULL};
    PyObject *run = NULL, *parent = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:greenlet", names,
                                     &run, &parent))
        return -1;
    if (run != NULL && set_run(g, run, NULL) < 0) return -1;
    return parent != Py_None ? set_parent(g, parent, NULL) : 0;
}

static PyObject *greenlet_switch(Greenlet *g, PyObject *args, PyObject *kw) {
    return switch_to(g, Py_NewRef(args), Py_XNewRef(kw));
}

/* Set the error that throw's arguments describe, as raise once took them. */
static int set_error(PyObject *error, PyObject *value, PyObject *tb) {
    if (tb != NULL && !PyTraceBack_Check(tb))
        return refuse(PyExc_TypeError,
                      "throw() third argument must be a traceback object");
    if (PyExceptionClass_Check(error)) {
        PyErr_Restore(Py_NewRef(error), Py_XNewRef(value), NULL);
        error = PyErr_GetRaisedException();     /* makes an instance of it */
    } else if (!PyExceptionInstance_Check(error))
        return refuse(PyExc_TypeError, "exceptions must be classes, or "
                      "instances, not %s", Py_TYPE(error)->tp_name);
    else if (value != NULL && value != Py_None)
        return refuse(PyExc_TypeError,
                      "instance exception may not have a separate value");
    else
        Py_INCREF(error);
    if (tb != NULL) PyException_SetTraceback(error, tb);
    PyErr_SetRaisedException(error);
    return 0;
}

static PyObject *greenlet_throw(Greenlet *g, PyObject *args) {
    PyObject *type = GreenletExit, *value = NULL, *tb = NULL, *result = NULL;
    if (!PyArg_ParseTuple(args, "|OOO:throw", &type, &value, &tb)) return NULL;
    if (set_error(type, value, tb != Py_None ? tb : NULL) < 0) return NULL;
    if (DEAD(g) && (value = exit_value()) != NULL) {    /* it has its will */
        result = PyTuple_Pack(1, value);
        Py_DECREF(value);
    }
    return switch_to(g, result, NULL);
}

static PyObject *greenlet_repr(Greenlet *g) {
    const char *state = NEW(g) ? "pending"
        : LOST(g) ? "(thread exited) dead" : DEAD(g) ? "dead"
        : g == current ? "current active started" : "suspended active started";
    return PyUnicode_FromFormat(
        "<%s object at %p (otid=%p) %s%s>", Py_TYPE(g)->tp_name, g, g->main,
        state, MAIN(g) && !LOST(g) ? " main" : "");
}

/* What is on its stack stays unseen: a cycle through it is never collected. */
static int greenlet_traverse(Greenlet *g, visitproc visit, void *arg) {
    Py_VISIT(g->parent);
    if (!MAIN(g)) Py_VISIT(g->main);
    Py_VISIT(g->run);
    Py_VISIT(g->state.context);
    Py_VISIT(g->state.exc_state.exc_value);
    Py_VISIT(g->dict);
    return 0;
}

/* Nobody has a use for g any more: have it end, here or in its thread. */
static void end(Greenlet *g) {
    PyObject *error;
    if (!ACTIVE(g) || LOST(g) || MAIN(g)) return;
    error = PyErr_GetRaisedException();
    if (current != NULL && current->main == g->main)
        kill(g);
    else
        doom(g);
    PyErr_SetRaisedException(error);
}

/* The collector, who holds a reference of its own, found it.  With one alone
   dealloc is on its way, and will see to it. */
static void greenlet_finalize(Greenlet *g) { if (Py_REFCNT(g) > 1) end(g); }

static int greenlet_clear(Greenlet *g) {
    end(g);
    if (ACTIVE(g) && !LOST(g)) return 0;    /* it is in use */
    Py_CLEAR(g->dict);
    Py_CLEAR(g->parent);
    Py_CLEAR(g->run);
    Py_CLEAR(g->state.context);
    Py_CLEAR(g->state.exc_state.exc_value);
    if (!ACTIVE(g) && !MAIN(g)) Py_CLEAR(g->main);
    return 0;
}

/* Return whether a suspended greenlet lives on.  We own it while it ends.
   If it refuses, somebody may know it again; if nobody does, it can never be
   freed, for its stack is in use. */
static int survives(Greenlet *g) {
    Py_SET_REFCNT(g, 1);
    end(g);
    if (Py_REFCNT(g) == 1 && ACTIVE(g) && !LOST(g)) {
        PySys_FormatStderr("%R refuses to end: it stays for ever\n", g);
        Py_INCREF(g);
    }
    Py_SET_REFCNT(g, Py_REFCNT(g) - 1);
    if (Py_REFCNT(g) == 0) return 0;
    if (PyType_HasFeature(Py_TYPE(g), Py_TPFLAGS_HEAPTYPE))
        Py_INCREF(Py_TYPE(g));      /* subtype_dealloc will drop one */
    return 1;
}

/* Frames of a thread that ended: free their memory, if nobody looks at it. */
static void free_frames(Greenlet *g) {
    Frame *frame = g->state.top_frame;
    while (frame != NULL && frame->frame_obj == NULL
           && frame->owner == FRAME_OWNED_BY_THREAD) frame = frame->previous;
    if (frame == NULL) chunks_free(&g->state);
}

static void greenlet_dealloc(Greenlet *g) {
    if (ACTIVE(g) && survives(g)) return;
    PyObject_GC_UnTrack(g);
    Py_TRASHCAN_BEGIN(g, greenlet_dealloc)
    if (g->weakreflist != NULL) PyObject_ClearWeakRefs((PyObject *)g);
    free_frames(g);
    slice_free(g);
    g->stack_start = NULL;
    greenlet_clear(g);
    Py_TYPE(g)->tp_free((PyObject *)g);
    Py_TRASHCAN_END
}

static PyObject *getcurrent(PyObject *Py_UNUSED(t), PyObject *Py_UNUSED(a)) {
    if (!Py_IsFinalizing()) return Py_XNewRef((PyObject *)get_current());
    return PyErr_Format(PyExc_RuntimeError, "the interpreter is finalizing");
}

static PyObject *gettrace(PyObject *Py_UNUSED(t), PyObject *Py_UNUSED(a)) {
    if (get_current() == NULL) return NULL;
    return Py_NewRef(current->main->tracer ? current->main->tracer : Py_None);
}

static PyObject *settrace(PyObject *type, PyObject *tracer) {
    PyObject *old = gettrace(type, NULL);
    if (old != NULL)
        Py_XSETREF(current->main->tracer,
                   tracer != Py_None ? Py_NewRef(tracer) : NULL);
    return old;
}

static PyMethodDef greenlet_methods[] = {
    {"switch", (PyCFunction)(void *)greenlet_switch,
     METH_VARARGS | METH_KEYWORDS,
     "Run this greenlet until somebody switches back to the caller."},
    {"throw", (PyCFunction)greenlet_throw, METH_VARARGS,
     "Switch to this greenlet and raise there, by default GreenletExit."},
    {"getcurrent", getcurrent, METH_NOARGS | METH_STATIC, "Return who runs."},
    {"gettrace", gettrace, METH_NOARGS | METH_STATIC, "Return the tracer."},
    {"settrace", settrace, METH_O | METH_STATIC, "Have each arrival call "
     "tracer(event, (origin, target)), event is \"switch\" or \"throw\"."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef greenlet_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"run", (getter)get_run, (setter)set_run, "What it calls.", NULL},
    {"parent", (getter)get_parent, (setter)set_parent, "Who is next.", NULL},
    {"gr_context", (getter)get_gr_context, (setter)set_gr_context,
     "Its contextvars.Context, or None.", NULL},
    {"gr_frame", (getter)get_gr_frame, NULL, "Its newest frame.", NULL},
    {"dead", (getter)get_dead, NULL, "Whether it is finished.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

/* For figures and tests: two addresses, and bytes. */
static PyMemberDef greenlet_members[] = {
    {"_stack_start", T_ULONG, offsetof(Greenlet, stack_start), READONLY, NULL},
    {"_stack_stop", T_ULONG, offsetof(Greenlet, stack_stop), READONLY, NULL},
    {"_stack_saved", T_PYSSIZET, offsetof(Greenlet, stack_saved), READONLY, 0},
    {NULL, 0, 0, 0, NULL}};

static PyNumberMethods greenlet_number = {.nb_bool = (inquiry)greenlet_bool};

static PyTypeObject GreenletType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "evening.greenlet.greenlet",
    .tp_doc = "greenlet(run=None, parent=None)\n--\n\n"
              "A function, with all the calls that it is in the middle of.",
    .tp_basicsize = sizeof(Greenlet),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = greenlet_new, .tp_init = (initproc)greenlet_init,
    .tp_repr = (reprfunc)greenlet_repr, .tp_as_number = &greenlet_number,
    .tp_traverse = (traverseproc)greenlet_traverse,
    .tp_clear = (inquiry)greenlet_clear,
    .tp_finalize = (destructor)greenlet_finalize,
    .tp_dealloc = (destructor)greenlet_dealloc,
    .tp_methods = greenlet_methods, .tp_getset = greenlet_getset,
    .tp_members = greenlet_members, .tp_dictoffset = offsetof(Greenlet, dict),
    .tp_weaklistoffset = offsetof(Greenlet, weakreflist)};

static PyModuleDef slice = {PyModuleDef_HEAD_INIT, "_slice", .m_size = -1};

/* The type is all that the module has; as in greenlet, its errors are
   attributes of it. */
PyMODINIT_FUNC PyInit__slice(void) {
    PyObject *module, *names;
    if (PyType_Ready(&GreenletType) < 0) return NULL;
    names = GreenletType.tp_dict;
    run_name = PyUnicode_InternFromString("run");
    GreenletError = PyErr_NewException("evening.greenlet.error", NULL, NULL);
    GreenletExit = PyErr_NewException("evening.greenlet.GreenletExit",
                                      PyExc_BaseException, NULL);
    if (run_name == NULL || GreenletError == NULL || GreenletExit == NULL
        || PyDict_SetItemString(names, "error", GreenletError) < 0
        || PyDict_SetItemString(names, "GreenletExit", GreenletExit) < 0)
        return NULL;
    module = PyModule_Create(&slice);
    if (module != NULL && PyModule_AddType(module, &GreenletType) < 0)
        Py_CLEAR(module);
    return module;
}
