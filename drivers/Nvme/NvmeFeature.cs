namespace Vfio.Drivers.Nvme;

/// <summary>Features whose value is one dword (Base 2.0 figure 317).</summary>
public enum NvmeFeature : byte
{
    /// <summary>Weights of the arbitration.</summary>
    Arbitration = 0x01,

    /// <summary>Power state and workload hint.</summary>
    PowerManagement = 0x02,

    /// <summary>Temperature threshold.</summary>
    TemperatureThreshold = 0x04,

    /// <summary>Error recovery of a namespace.</summary>
    ErrorRecovery = 0x05,

    /// <summary>Whether the volatile write cache is on.</summary>
    VolatileWriteCache = 0x06,

    /// <summary>Queues granted, each less one: submission in bits 15:0, completion in bits 31:16.</summary>
    NumberOfQueues = 0x07,

    /// <summary>Interrupt coalescing.</summary>
    InterruptCoalescing = 0x08,

    /// <summary>Whether writes are atomic beyond what they must be.</summary>
    WriteAtomicityNormal = 0x0A,

    /// <summary>Which asynchronous events are reported.</summary>
    AsynchronousEventConfiguration = 0x0B,
}
