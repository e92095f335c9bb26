// The leak guard looks at the whole process.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]
