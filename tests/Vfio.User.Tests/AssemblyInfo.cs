// The leak guard looks at the whole process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
