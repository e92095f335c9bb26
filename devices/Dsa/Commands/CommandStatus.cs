namespace Vfio.Devices.Dsa;

/// <summary>How a command ended (CMDSTS; DSA 1.0 §9.2.13).</summary>
internal enum CommandStatus : byte
{
    Success = 0,
    InvalidCommand = 1,
    InvalidQueue = 2,

    DeviceEnabled = 0x10,
    BusMasterDisabled = 0x12,
    QueueSizes = 0x14,

    /// <summary>A work queue is in two groups, or has a size and is in none.</summary>
    QueueGroups = 0x15,

    /// <summary>An engine is in two groups.</summary>
    EngineGroups = 0x16,

    /// <summary>A group has work queues and no engine, or the other way round.</summary>
    GroupHalf = 0x17,

    DeviceDisabled = 0x20,
    QueueEnabled = 0x21,
    QueueSize = 0x22,
    QueuePriority = 0x23,
    QueueMode = 0x24,
    QueueBlocksOnFault = 0x25,
    QueuePasid = 0x26,
    QueueBatch = 0x27,
    QueueTransfer = 0x28,

    NotEnabled = 0x31,
    QueueNotEnabled = 0x32,
}
