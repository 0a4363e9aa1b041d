//! The state by itself: contexts, planned faults, what is found. Each test has its own state, and its own thread with
//! its own current context.

use super::code::{Answer, Code};
use super::launch::{Given, Shape};
use super::settings::Settings;
use super::state::State;
use crate::fault::Faults;
use crate::report::Kind;

/// A driver with a plan, initialised, its primary context current.
pub(crate) fn driver(plan: &str) -> State {
    let mut state = fresh(plan);
    state.init(0).unwrap();
    let context = state.retain_primary(0).unwrap();
    state.set_current(context).unwrap();
    state
}

fn fresh(plan: &str) -> State {
    State::new(Settings {
        faults: Faults::parse(plan),
        visible: true,
        blocking: false,
        counts: None,
        report: None,
        compiled: None,
    })
}

fn kinds(state: &State) -> Vec<Kind> {
    state.reports.found().iter().map(|(report, _)| report.kind).collect()
}

#[test]
fn plans_change_what_the_driver_says_of_itself() {
    assert_eq!(fresh("devices=0").init(0), Err(Code::NO_DEVICE));
    assert_eq!(fresh("nonsense").init(0), Err(Code::UNKNOWN));
    assert_eq!(fresh("").init(1), Err(Code::INVALID_VALUE));
    assert_eq!((fresh("driver=12080").version(), fresh("").version()), (12_080, 13_000));
    assert_eq!(driver("memory=256MiB").info().0, 256 << 20);
}

#[test]
fn an_older_driver_refuses_newer_ptx() {
    let text = b".version 9.0\n.target sm_75\n.address_size 64\n";
    let refused = driver("driver=12080").load(text).unwrap_err();
    assert_eq!(refused.code, Code::UNSUPPORTED_PTX_VERSION);
    assert!(driver("").load(text).is_ok());
}

#[test]
fn planned_allocations_are_refused_and_nothing_stays_wrong() {
    let mut state = driver("allocation=2;allocation=4+");
    let given: Vec<bool> = (0..5).map(|_| state.allocate(512).is_ok()).collect();
    assert_eq!(given, [true, false, true, false, false]);
    let free = state.info().0;
    assert_eq!(state.allocate_in_order(512, None, 0), Err(Code::OUT_OF_MEMORY));
    assert_eq!(state.info().0, free);
    assert_eq!(state.synchronise_context(), Ok(()));
}

#[test]
fn a_small_device_is_full_when_it_is_full() {
    let mut state = driver("memory=8MiB");
    assert!(state.allocate(4 << 20).is_ok());
    assert_eq!(state.allocate(6 << 20), Err(Code::OUT_OF_MEMORY));
    assert_eq!(state.allocate_in_order(1, None, 0), Err(Code::OUT_OF_MEMORY), "a pool takes 32 MiB");
    assert!(state.allocate(4 << 20).is_ok());
}

const KERNELS: &[u8] = b".version 9.0\n.target sm_75\n.address_size 64\n\
    .visible .global .align 4 .u32 counter = 7;\n\
    .visible .entry nothing()\n{\n ret;\n}\n\
    .visible .entry store(.param .u64 to, .param .u32 value)\n{\n .reg .b64 %d<2>; .reg .b32 %r<2>;\n\
     ld.param.u64 %d1, [to];\n ld.param.u32 %r1, [value];\n st.global.u32 [%d1], %r1;\n ret;\n}\n";

const ONE_THREAD: Shape = Shape { grid: [1; 3], block: [1; 3], dynamic_shared: 0 };

/// A function of [`KERNELS`].
fn kernel(state: &mut State, name: &str) -> u64 {
    let module = state.load(KERNELS).unwrap();
    state.get_function(module, Some(name)).unwrap()
}

/// Launches, and runs what was accepted.
fn launch(state: &mut State, function: u64, parameters: &[u8]) -> Answer {
    let given = if parameters.is_empty() { Given::Nothing } else { Given::Buffer(parameters.to_vec()) };
    let told = match state.accept(function, ONE_THREAD, 0, &given)? {
        Some(accepted) => state.run(&accepted),
        None => Ok(()),
    };
    state.begins("the next call");
    told
}

#[test]
fn a_kernel_runs_and_is_counted() {
    let mut state = driver("");
    let store = kernel(&mut state, "store");
    let to = state.allocate(4).unwrap();
    let parameters: Vec<u8> = [&to.to_le_bytes()[..], &55u32.to_le_bytes()].concat();
    launch(&mut state, store, &parameters).unwrap();
    let mut stored = [0; 4];
    assert_eq!(state.memory.read(to, &mut stored), Ok(None));
    assert_eq!(u32::from_le_bytes(stored), 55);
    let counted = state.counts.kernels["store"];
    assert_eq!((counted.launches, counted.done.bytes_stored), (1, 4));
    assert_eq!(launch(&mut state, store, &parameters[..8]), Ok(()), "what is missing is read as zero");
    assert_eq!(kinds(&state), [Kind::WrongCall]);
    assert_eq!(launch(&mut state, store, &[0; 16]), Err(Code::LAUNCH_OUT_OF_RESOURCES));
}

#[test]
fn a_kernel_reaches_pinned_memory_that_a_parameter_names() {
    let mut state = driver("");
    let store = kernel(&mut state, "store");
    let to = state.allocate_host(64, 3).unwrap() + 60;
    launch(&mut state, store, &[&to.to_le_bytes()[..], &9u32.to_le_bytes()].concat()).unwrap();
    let mut stored = [0; 4];
    state.library_reads("the test", "memory", to, &mut stored).unwrap();
    assert_eq!((u32::from_le_bytes(stored), kinds(&state)), (9, Vec::new()));
    assert!(state.memory.block_of(to).is_none(), "only while the kernel runs");
}

#[test]
fn a_fault_of_a_kernel_stays() {
    let mut state = driver("");
    let store = kernel(&mut state, "store");
    let event = state.make_event(0).unwrap();
    let given = Given::Buffer(vec![0; 12]);
    let accepted = state.accept(store, ONE_THREAD, 0, &given).unwrap().unwrap();
    assert_eq!(state.run(&accepted), Ok(()), "the launch itself succeeds");
    state.begins("cuEventRecord");
    assert_eq!(state.record_event(event, 0), Ok(()), "as on a card, where the kernel would still be running");
    state.begins("cuCtxSynchronize");
    assert_eq!(state.synchronise_context(), Err(Code::ILLEGAL_ADDRESS));
    assert_eq!(kinds(&state), [Kind::OutOfBounds]);
    let mut blocking = driver("");
    blocking.settings.blocking = true;
    let store = kernel(&mut blocking, "store");
    assert_eq!(launch(&mut blocking, store, &[0; 12]), Err(Code::ILLEGAL_ADDRESS));
}

#[test]
fn planned_launches_fail_as_planned() {
    let mut state = driver("launch=2:1;launch=3");
    let nothing = kernel(&mut state, "nothing");
    let told: Vec<Answer> = (0..3).map(|_| launch(&mut state, nothing, &[])).collect();
    assert_eq!(told, [Ok(()), Err(Code::INVALID_VALUE), Ok(())]);
    assert_eq!(state.synchronise_context(), Err(Code(719)));
    assert_eq!(launch(&mut state, nothing, &[]), Err(Code(719)));

    let mut state = driver("lost=store/1:46");
    let (nothing, store) = (kernel(&mut state, "nothing"), kernel(&mut state, "store"));
    let to = state.allocate(4).unwrap();
    launch(&mut state, nothing, &[]).unwrap();
    launch(&mut state, store, &[&to.to_le_bytes()[..], &[0; 4]].concat()).unwrap();
    assert_eq!(state.query_stream(0), Err(Code::DEVICE_UNAVAILABLE));
    state.release_primary(0).unwrap();
    assert_eq!(state.retain_primary(0), Err(Code::DEVICE_UNAVAILABLE));
}

#[test]
fn a_module_takes_memory_and_gives_it_back() {
    let mut state = driver("");
    let free = state.info().0;
    let module = state.load(KERNELS).unwrap();
    assert!(state.info().0 < free);
    let (address, len) = state.get_global(module, Some("counter")).unwrap();
    let mut bytes = [0; 4];
    assert_eq!(state.memory.read(address, &mut bytes), Ok(None));
    assert_eq!((u32::from_le_bytes(bytes), len), (7, 4));
    assert_eq!(state.free(address), Err(Code::INVALID_VALUE), "a variable is the module's");
    assert_eq!(state.get_global(module, Some("nothing")), Err(Code::INVALID_VALUE));
    assert_eq!(state.get_function(module, Some("counter")), Err(Code::NOT_FOUND));
    assert_eq!(state.get_function(module, Some("")), Err(Code::INVALID_VALUE));
    let function = state.get_function(module, Some("nothing")).unwrap();
    assert_eq!(state.get_function(module, Some("nothing")), Ok(function));
    state.unload(module).unwrap();
    assert_eq!(state.info().0, free);
    assert_eq!(state.unload(module), Err(Code::INVALID_HANDLE));
    assert_eq!(launch(&mut state, function, &[]), Err(Code::INVALID_HANDLE));
    let mut full = driver("memory=1MiB");
    assert_eq!(full.load(KERNELS).unwrap_err().code, Code::OUT_OF_MEMORY);
}

#[test]
fn the_primary_context_comes_and_goes() {
    let mut state = fresh("");
    assert_eq!(state.context(), Err(Code::NOT_INITIALIZED));
    state.init(0).unwrap();
    assert_eq!(state.context(), Err(Code::INVALID_CONTEXT));
    assert_eq!(state.release_primary(0), Err(Code::INVALID_CONTEXT));
    let first = state.retain_primary(0).unwrap();
    assert_eq!(state.retain_primary(0), Ok(first));
    state.set_current(first).unwrap();
    state.release_primary(0).unwrap();
    assert_eq!(state.context(), Ok(first));
    state.release_primary(0).unwrap();
    assert_eq!(state.context(), Err(Code::CONTEXT_IS_DESTROYED));
    assert_eq!(state.retain_primary(0), Ok(first));
    assert_eq!(state.context(), Ok(first));
    assert_eq!(state.retain_primary(1), Err(Code::INVALID_DEVICE));
}

#[test]
fn what_a_context_leaves_behind_is_found_once() {
    let mut state = driver("");
    let (kept, freed) = (state.allocate(100).unwrap(), state.allocate(200).unwrap());
    let pinned = state.allocate_host(4096, 0).unwrap();
    state.free(freed).unwrap();
    state.release_primary(0).unwrap();
    assert_eq!(kinds(&state), [Kind::Leak, Kind::Leak]);
    let words: Vec<&str> = state.reports.found().iter().map(|(report, _)| report.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "allocation 1 of 100 bytes was not freed when its context ended",
            "pinned allocation 1 of 4096 bytes was not freed when its context ended"
        ]
    );
    assert!(state.memory.block_of(kept).is_none() && state.device_pointer(pinned).is_err());
    state.end(0);
    assert_eq!(kinds(&state).len(), 2, "nothing is left to be found when the process ends");
}

#[test]
fn a_process_that_ends_with_memory_out_leaks_it() {
    let mut state = driver("");
    state.allocate(100).unwrap();
    state.end(1);
    assert_eq!(kinds(&state), [], "another thread may have been about to free it");
    state.end(0);
    assert_eq!(kinds(&state), [Kind::Leak]);
}

#[test]
fn an_error_that_stays_is_told_by_everything_in_the_context() {
    let mut state = driver("");
    let block = state.allocate(100).unwrap();
    let (stream, event) = (state.make_stream(1, 0).unwrap(), state.make_event(0).unwrap());
    state.die(Code::ILLEGAL_ADDRESS);
    state.die(Code(719));
    let dead = Err(Code::ILLEGAL_ADDRESS);
    assert_eq!(state.allocate(1).map(drop), dead);
    assert_eq!(state.free(block), dead);
    assert_eq!(state.query_stream(stream), dead);
    assert_eq!(state.query_event(event), dead);
    assert_eq!(state.synchronise_context(), dead);
    assert_eq!(state.fill(block, &[0], 4, 0), dead);
    assert_eq!(state.pointer_attribute(12, block), Ok(100), "what asks no context still answers");
    state.release_primary(0).unwrap();
    assert_eq!(state.synchronise_context(), Err(Code::CONTEXT_IS_DESTROYED));
    assert_eq!(state.retain_primary(0).map(drop), dead, "nothing recovers");
    assert_eq!(kinds(&state), [], "what could not be freed is no leak");
}

#[test]
fn copies_keep_their_bounds_and_tell_what_nothing_wrote() {
    let mut state = driver("");
    let block = state.allocate(64).unwrap();
    let (source, mut target) = ([7u8; 65], [0u8; 64]);
    let (from, to) = (source.as_ptr() as u64, target.as_mut_ptr() as u64);
    use super::copies::Way::{OnDevice, ToDevice, ToHost};
    // SAFETY: `source` has 65 bytes and `target` 64, both live to the end of the test, and no copy below that succeeds
    // names more; none runs in another thread.
    let mut copy = |to, from, len, way| unsafe { state.copy(to, from, len, way, 0) };
    assert_eq!(copy(block, from, 65, ToDevice), Err(Code::INVALID_VALUE));
    assert_eq!(copy(to, from, 4, ToDevice), Err(Code::INVALID_VALUE));
    assert_eq!(copy(block, 0, 4, ToDevice), Err(Code::INVALID_VALUE));
    assert_eq!(copy(block, from, 32, ToDevice), Ok(()));
    assert_eq!(copy(block + 32, block, 16, OnDevice), Ok(()));
    assert_eq!(copy(to, block, 48, ToHost), Ok(()));
    assert_eq!(copy(to, block, 50, ToHost), Ok(()));
    assert_eq!(copy(0, 0, 0, ToHost), Ok(()));
    assert_eq!(target[..48], [7; 48]);
    assert_eq!(kinds(&state), [Kind::UninitialisedCopy]);
    assert!(state.reports.found()[0].0.words.ends_with("48 bytes into allocation 1 of 64 bytes"));
}

#[test]
fn stale_handles_are_found() {
    let mut state = driver("");
    let stream = state.make_stream(0, 0).unwrap();
    state.destroy_stream(stream).unwrap();
    assert_eq!(state.synchronise_stream(stream), Err(Code::INVALID_HANDLE));
    assert_eq!(state.query_event(77), Err(Code::INVALID_HANDLE));
    assert_eq!(kinds(&state), [Kind::WrongCall; 2]);
    assert_eq!(state.destroy_stream(0), Err(Code::INVALID_HANDLE), "a plain error, which nothing reports");
    assert_eq!(kinds(&state).len(), 2);
}

#[test]
fn a_capture_forbids_what_a_real_one_forbids() {
    let mut state = driver("");
    let (captured, other) = (state.make_stream(1, 0).unwrap(), state.make_stream(1, 0).unwrap());
    assert_eq!(state.begin_capture(0, 0), Err(Code::STREAM_CAPTURE_UNSUPPORTED));
    for mode in 0..2 {
        state.begin_capture(captured, mode).unwrap();
        assert_eq!(state.begin_capture(captured, mode), Err(Code::ILLEGAL_STATE));
        assert_eq!(state.allocate(64), Err(Code::STREAM_CAPTURE_UNSUPPORTED));
        assert_eq!(state.capture_status(captured), Ok(2));
        assert_eq!(state.end_capture(captured), Err(Code::STREAM_CAPTURE_INVALIDATED));
    }
    state.begin_capture(captured, 2).unwrap();
    assert!(state.allocate(64).is_ok());
    assert_eq!(state.synchronise_stream(other), Ok(()));
    assert_eq!(state.capture_status(captured), Ok(1));
    assert_eq!(state.synchronise_context(), Err(Code::STREAM_CAPTURE_UNSUPPORTED));
    assert_eq!(state.end_capture(captured), Err(Code::STREAM_CAPTURE_INVALIDATED));
    assert_eq!(state.end_capture(captured), Err(Code::ILLEGAL_STATE));
    assert_eq!(kinds(&state), []);
    state.begin_capture(captured, 2).unwrap();
    assert_eq!(state.end_capture(captured), Err(Code::NOT_SUPPORTED));
    assert_eq!(kinds(&state), [Kind::Unsupported], "a graph is never silently nothing");
}

#[test]
fn events_tell_work_and_no_time() {
    let mut state = driver("");
    let (first, second) = (state.make_event(0).unwrap(), state.make_event(0).unwrap());
    assert_eq!((state.query_event(first), state.synchronise_event(first)), (Ok(()), Ok(())));
    assert_eq!(state.between(first, second), Err(Code::INVALID_HANDLE));
    state.record_event(first, 0).unwrap();
    state.record_event(second, 0).unwrap();
    assert!(state.between(first, second).unwrap() > 0.0);
    assert!(state.between(second, first).unwrap() < 0.0);
    let untimed = state.make_event(2).unwrap();
    state.record_event(untimed, 0).unwrap();
    assert_eq!(state.between(first, untimed), Err(Code::INVALID_HANDLE));
    assert_eq!([4, 8].map(|flags| state.make_event(flags)), [Err(Code::INVALID_VALUE); 2]);
}

#[test]
fn shared_memory_of_the_host_is_reached_by_both_sides() {
    let mut state = driver("");
    assert_eq!(state.allocate_host(0, 0), Ok(0));
    assert_eq!(state.allocate_host(64, 8), Err(Code::INVALID_VALUE));
    let pinned = state.allocate_host(64, 3).unwrap();
    state.fill(pinned, &[9], 64, 0).unwrap();
    assert_eq!(state.fill(pinned, &[9], 65, 0), Err(Code::INVALID_VALUE));
    let mut bytes = [0; 4];
    state.library_reads("a kernel", "x", pinned + 60, &mut bytes).unwrap();
    assert_eq!(bytes, [9; 4]);
    assert_eq!(state.free_host(pinned + 1), Err(Code::INVALID_VALUE));
    assert_eq!(state.free(pinned), Err(Code::INVALID_VALUE));
    assert_eq!((state.free_host(pinned), state.free_host(pinned)), (Ok(()), Err(Code::INVALID_VALUE)));
    let managed = state.allocate_managed(64, 1).unwrap();
    assert_eq!(state.attach(0, managed, 0, 1), Ok(()));
    assert_eq!(state.free(managed), Ok(()));
    let mine = [0u8; 64];
    let address = mine.as_ptr() as u64;
    assert_eq!(state.register_host(address, 64), Ok(()));
    assert_eq!(state.register_host(address, 64), Err(Code::HOST_MEMORY_ALREADY_REGISTERED));
    assert_eq!(state.unregister_host(address), Ok(()));
    assert_eq!(state.unregister_host(address), Err(Code::HOST_MEMORY_NOT_REGISTERED));
}

#[test]
fn a_kernel_of_a_library_is_checked_as_any_other() {
    let mut state = driver("");
    let block = state.allocate(16).unwrap();
    state.library_writes("gemm", "C", block, &[1; 8]).unwrap();
    state.library_reads("gemm", "A", block, &mut [0; 12]).unwrap();
    assert_eq!(kinds(&state), [Kind::UninitialisedGlobal]);
    assert!(state.library_reads("gemm", "A", block + 8, &mut [0; 12]).is_err());
    assert_eq!(kinds(&state)[1..], [Kind::OutOfBounds]);
    assert_eq!(state.synchronise_context(), Err(Code::ILLEGAL_ADDRESS));
}
