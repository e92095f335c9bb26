namespace Vfio.Devices.Nvme;

/// <summary>A backend that has something to tell the person who runs the program, such as that a server is gone.</summary>
internal interface IReportingBackend
{
    /// <summary>Is told what happened, as a sentence; called on any thread, with no lock held.</summary>
    Action<string>? Report { get; set; }
}
