// Programs are started and timed, and descriptors are left open across exec: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
