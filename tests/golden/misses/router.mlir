// Near miss `router` of `matmul_softmax`: Mixture of experts: a softmax over four experts is no attention and needs no word.
// Left alone: not attention
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[63,40],f32>, %arg1: !torch.vtensor<[40,4],f32>, %arg2: !torch.vtensor<[63,4,20],f32>) -> !torch.vtensor<[63,20],f32> {
    %0 = torch.aten.matmul %arg0, %arg1 : !torch.vtensor<[63,40],f32>, !torch.vtensor<[40,4],f32> -> !torch.vtensor<[63,4],f32>
    %int-1 = torch.constant.int -1
    %none = torch.constant.none
    %1 = torch.aten.softmax.int %0, %int-1, %none : !torch.vtensor<[63,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[63,4],f32>
    %2 = torch.aten.unsqueeze %1, %int-1 : !torch.vtensor<[63,4],f32>, !torch.int -> !torch.vtensor<[63,4,1],f32>
    %3 = torch.aten.mul.Tensor %2, %arg2 : !torch.vtensor<[63,4,1],f32>, !torch.vtensor<[63,4,20],f32> -> !torch.vtensor<[63,4,20],f32>
    %int1 = torch.constant.int 1
    %4 = torch.prim.ListConstruct %int1 : (!torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %5 = torch.aten.sum.dim_IntList %3, %4, %false, %none : !torch.vtensor<[63,4,20],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[63,20],f32>
    return %5 : !torch.vtensor<[63,20],f32>
  }
}
