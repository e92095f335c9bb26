// One device, one user.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
