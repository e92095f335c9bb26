// Two at a time: each machine is a process of its own and the machines of CI have two processors.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
