[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]

// Whatever a test opens or maps is closed at the end.
[assembly: AssemblyFixture(typeof(Vfio.TestUtilities.DescriptorLeakFixture))]
