// Each test runs programs; two processors are what CI has.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
